import type { Workload } from "../../components/lib/workload-api";
import { startsContainers } from "./factory-images";
import { isOneOf, removal, userName, type Identities } from "./identities";
import type { AdmissionRule } from "./rule";

/** A component that uses its identity, and the images that its pods are made of. */
export interface IdentityUser extends Workload {
  /** By reference with digest. */
  images: readonly string[];
}

/** What is registered at SPIRE says who gets which identity. */
export const registrations = (stack: Identities): AdmissionRule => ({
  name: "ssf-registrations",
  protects: "Nobody gets an identity but who is registered by a stack.",
  scope: "cluster",
  matches: [
    {
      apiGroup: "spire.spiffe.io",
      resources: ["clusterspiffeids", "clusterstaticentries", "clusterfederatedtrustdomains"],
      operations: ["CREATE", "UPDATE", "DELETE"],
    },
  ],
  variables: [],
  validations: [
    {
      code: "SSF-ADMISSION-062",
      path: "metadata",
      admits: `${isOneOf(stack)} || ${removal}`,
      given: userName,
      rule: "Only who brings up the stacks changes what is registered at SPIRE.",
      fix: "Change the stack of the factory or of the team, or name the identity in stackUsers or stackGroups.",
    },
  ],
});

const place = ({ namespace, serviceAccount }: Workload): string => `${namespace}/${serviceAccount}`;

/** What a container starts beside the program of its image. */
const started = ["lifecycle", "livenessProbe.?exec", "readinessProbe.?exec", "startupProbe.?exec"]
  .map((field) => `c.?${field}.hasValue()`)
  .join(" || ");

/**
 * Who may use an account may use its identity. So the pods of such an account are the component's own, and nothing starts in
 * them but the programs of their images, whoever makes them.
 */
export const identityUsers = (users: readonly IdentityUser[]): AdmissionRule => ({
  name: "ssf-identity-users",
  protects: "An identity that signs or writes is used by its own program.",
  scope: "factory",
  matches: startsContainers,
  variables: [
    { name: "images", expression: JSON.stringify(Object.fromEntries(users.map((user) => [place(user), user.images]))) },
    {
      name: "user",
      expression: `object.metadata.?namespace.orValue("") + "/" + object.spec.?serviceAccountName.orValue("default")`,
    },
    { name: "containers", expression: "object.spec.containers + object.spec.?initContainers.orValue([])" },
    {
      name: "others",
      expression: `variables.user in variables.images ? variables.containers.map(c, c.?image.orValue("none")).filter(image, !(image in variables.images[variables.user])) : []`,
    },
    {
      name: "strangers",
      expression: `object.spec.?ephemeralContainers.orValue([]).map(c, c.name) + variables.containers.filter(c, size(c.?command.orValue([])) > 0 || ${started}).map(c, c.name)`,
    },
  ],
  validations: [
    {
      code: "SSF-ADMISSION-024",
      path: "spec.containers[].image",
      admits: "size(variables.others) == 0",
      given: `"'" + variables.user + "': " + variables.others.join(", ")`,
      rule: "A pod with the account of a component that uses its identity runs the images of that component.",
      fix: "Use another account, without an identity.",
    },
    {
      code: "SSF-ADMISSION-025",
      path: "spec.containers[].command, lifecycle, probes; spec.ephemeralContainers",
      admits: "!(variables.user in variables.images) || size(variables.strangers) == 0",
      given: `"'" + variables.user + "': " + variables.strangers.join(", ")`,
      rule: "In a pod with such an account nothing starts but the programs of its images.",
      fix: "Leave commands, hooks, probes that run a command and ephemeral containers out.",
    },
  ],
});
