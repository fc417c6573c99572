import type { Problem } from "../../components/lib/errors";

const taken = /failed to allocate IP (\S+): provided IP is already allocated/;

/** That a service of the cluster has the address that the settings give to the registry, if an error of the engine's says so. */
export const addressTaken = (stack: string, errors: readonly string[]): Problem[] => {
  const [, address] = errors.map((error) => taken.exec(error)).find((found) => found !== null) ?? [];
  if (address === undefined) return [];
  return [
    {
      code: "SSF-RUN-005",
      path: `stack ${stack}: config registryClusterIp`,
      given: `"${address}", which another service of the cluster has`,
      rule: "The registry must have an address within serviceCidr that no other service has.",
      fix: `See those that are taken by kubectl get services --all-namespaces, then run pulumi config set registryClusterIp <address> --stack ${stack}.`,
    },
  ];
};
