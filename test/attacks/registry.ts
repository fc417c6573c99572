import type { Answer, Attempt } from "../../tools/cli/attacks";
import { MANIFEST_TYPES, parseImage } from "../../tools/cli/registry";
import { openHttps, type ServiceRequest } from "./services";
import { anyBuilt, type FactoryAttack } from "./support";

/** What the registry's status says; `reached` are those of a request that it has carried out. */
const answerOf = (status: number, reached: readonly number[]): Answer => {
  if (reached.includes(status)) return { is: "accepted", detail: `HTTP status ${status}` };
  return status >= 400 && status < 500
    ? { is: "refused", by: "registry", message: `HTTP status ${status}` }
    : { is: "unproven", detail: `HTTP status ${status}` };
};

export const registry: FactoryAttack = {
  name: "registry",
  covers:
    "Images and attestations in the registry: read or written by nobody in particular, deleted by somebody with a password.",
  tries:
    "to read, push and delete in the registry without a user, with a wrong password, and with every user that there is",
  refusal: { by: ["registry"], message: /HTTP status (401|405)/ },
  control: "Those who may read the image and its attestation do.",
  prepare: async (session) => {
    const { path, digest } = parseImage(await anyBuilt(session));
    const attestation = `${digest.replace(":", "-")}.att`;
    const { registry: service, registryCredentials } = session.factory;
    const send = await openHttps(session, service.host);
    const users = Object.entries(registryCredentials).map(([name, { username, password }]) => ({
      name,
      auth: `${username}:${password}`,
    }));
    const base = `/v2/${path}`;
    const attempt = (name: string, asked: ServiceRequest, reached: readonly number[]): Attempt => ({
      name,
      run: async () => answerOf((await send({ ...asked, accept: MANIFEST_TYPES })).status, reached),
    });
    const strangers = [
      { name: "nobody", auth: undefined },
      { name: "a user with a wrong password", auth: `${registryCredentials.publisher.username}:wrong` },
      { name: "an unknown user", auth: "admin:admin" },
    ];
    return {
      attempts: [
        ...strangers.flatMap(({ name, auth }) => [
          attempt(`${name} lists repositories`, { method: "GET", path: "/v2/_catalog", auth }, [200]),
          attempt(`${name} reads an image`, { method: "GET", path: `${base}/manifests/${digest}`, auth }, [200]),
          attempt(`${name} pushes`, { method: "POST", path: `${base}/blobs/uploads/`, auth }, [202]),
        ]),
        ...users.flatMap(({ name, auth }) => [
          attempt(`${name} deletes the image`, { method: "DELETE", path: `${base}/manifests/${digest}`, auth }, [202]),
          attempt(
            `${name} deletes the attestation`,
            { method: "DELETE", path: `${base}/manifests/${attestation}`, auth },
            [202],
          ),
          attempt(`${name} deletes a blob`, { method: "DELETE", path: `${base}/blobs/${digest}`, auth }, [202]),
        ]),
      ],
      controls: users.flatMap(({ name, auth }) => [
        attempt(`${name} reads the image`, { method: "GET", path: `${base}/manifests/${digest}`, auth }, [200]),
        attempt(
          `${name} reads the attestation`,
          { method: "GET", path: `${base}/manifests/${attestation}`, auth },
          [200],
        ),
      ]),
    };
  },
};
