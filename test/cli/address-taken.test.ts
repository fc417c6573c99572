import { addressTaken } from "../../tools/cli/address-taken";

const server = (problem: string) =>
  `registry-service: resource ssf-registry/registry was not successfully created by the Kubernetes API server: Service "registry" is invalid: spec.clusterIPs: Invalid value: ["10.96.0.50"]: ${problem}`;

test("an address that another service has is told as the setting that names it", () => {
  const problems = addressTaken("dev", [
    "other",
    server("failed to allocate IP 10.96.0.50: provided IP is already allocated"),
  ]);
  expect(problems).toMatchObject([
    {
      code: "SSF-RUN-005",
      path: "stack dev: config registryClusterIp",
      given: expect.stringContaining("10.96.0.50") as string,
    },
  ]);
  expect(problems[0]?.fix).toContain("pulumi config set registryClusterIp <address> --stack dev");
});

test("other errors are not", () => {
  expect(addressTaken("dev", ["other", server("provided IP is not in the valid range")])).toEqual([]);
});
