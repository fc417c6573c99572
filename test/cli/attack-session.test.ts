import { refuserOf, withValue } from "../../tools/cli/attack-session";

it.each([
  [
    "RBAC",
    'Error from server (Forbidden): secrets is forbidden: User "attacker" cannot list resource "secrets" in API group "" in the namespace "team-a"',
  ],
  [
    "admission policy",
    "The pods \"x\" is invalid: : ValidatingAdmissionPolicy 'ssf-pods' with binding 'ssf-pods' denied request: SSF-ADMISSION-001 spec.hostNetwork",
  ],
  [
    "admission policy",
    'Error from server (Forbidden): admission webhook "validation.gatekeeper.sh" denied the request: [x] no',
  ],
  [
    "Tekton's webhook",
    'Error from server (BadRequest): admission webhook "validation.webhook.pipeline.tekton.dev" denied the request: validation failed',
  ],
  [
    "Pod Security",
    'pods "x" is forbidden: violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true)',
  ],
  [
    "API server",
    'Error from server (BadRequest): Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.x"',
  ],
])("knows %s by its words", (by, message) => {
  expect(refuserOf(message)).toBe(by);
});

it.each([
  "Unable to connect to the server: dial tcp 127.0.0.1:6443: connect: connection refused",
  'Error from server (NotFound): pods "x" not found',
  "error: timed out waiting for the condition",
])("takes no trouble for a refusal: %s", (message) => {
  expect(refuserOf(message)).toBeUndefined();
});

describe("a variant of an object", () => {
  const good = { spec: { list: [{ a: 1 }, { b: 2 }], keep: true } };

  it("differs at one place, and leaves the object as it was", () => {
    expect(withValue(good, ["spec", "list", 1, "b"], 3)).toEqual({ spec: { list: [{ a: 1 }, { b: 3 }], keep: true } });
    expect(withValue(good, ["spec", "new", "deep"], "x")).toEqual({ spec: { ...good.spec, new: { deep: "x" } } });
    expect(withValue(good, ["spec", "list", 2], "more")).toEqual({
      spec: { ...good.spec, list: [{ a: 1 }, { b: 2 }, "more"] },
    });
    expect(good).toEqual({ spec: { list: [{ a: 1 }, { b: 2 }], keep: true } });
  });

  it("lacks what is set to nothing", () => {
    expect(JSON.stringify(withValue(good, ["spec", "list"], undefined))).toBe('{"spec":{"keep":true}}');
  });
});
