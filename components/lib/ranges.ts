/** Whether an IPv4 address lies in a range such as `10.96.0.0/16`. */
export const inRange = (address: string, cidr: string): boolean => {
  const [network = "", bits = "32"] = cidr.split("/");
  const size = 2 ** (32 - Number(bits));
  return Math.floor(toNumber(address) / size) === Math.floor(toNumber(network) / size);
};

const toNumber = (address: string): number => address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
