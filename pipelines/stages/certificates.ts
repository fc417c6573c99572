import type { Mount } from "../model";

/** Where the stage images keep the authorities that they trust of themselves. */
const ownAuthorities = "/etc/ssl/certs/ca-certificates.crt";

/** Certificate authorities that a stage trusts: files for it to read, and the mounts that bring them. */
export interface Authorities {
  /** Each a PEM file. */
  files: string[];
  mounts: Mount[];
}

const authority = (name: string, configMap: string): Mount => ({
  name,
  source: configMap,
  files: { "ca.crt": "ca.crt" },
  path: `/etc/ssf/${name}`,
});

/** The authorities in the key `ca.crt` of a ConfigMap, or the image's own. */
export const authorities = (configMap: string | undefined, name = "authorities"): Authorities => {
  if (configMap === undefined) return { files: [ownAuthorities], mounts: [] };
  const mount = authority(name, configMap);
  return { files: [`${mount.path}/ca.crt`], mounts: [mount] };
};

/** These authorities and, if there is one, that of the ConfigMap. */
export const withAuthority = (trusted: Authorities, name: string, configMap: string | undefined): Authorities => {
  if (configMap === undefined) return trusted;
  const { files, mounts } = authorities(configMap, name);
  return { files: [...trusted.files, ...files], mounts: [...trusted.mounts, ...mounts] };
};
