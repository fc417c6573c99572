import type { Mount, Stage } from "../model";

const directory = "/etc/ssf/certificates";

/** Lets a stage trust the authorities in the key `ca.crt` of a ConfigMap, told to it by these variables. */
export const certificates = (
  configMap: string | undefined,
  variables: readonly string[],
): Pick<Stage, "env" | "mounts"> => {
  if (configMap === undefined) return { env: {}, mounts: [] };
  const mount: Mount = {
    name: "certificates",
    kind: "configMap",
    source: configMap,
    files: { "ca.crt": "ca.crt" },
    path: directory,
  };
  return {
    env: Object.fromEntries(variables.map((variable) => [variable, `${directory}/ca.crt`])),
    mounts: [mount],
  };
};
