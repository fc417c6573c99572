import type { EngineEvent } from "@pulumi/pulumi/automation/events";
import { afterEvent, describeChanges, describeProgress, startOfUpdate } from "../../tools/cli/engine-events";

const urn = (type: string, name: string) => `urn:pulumi:dev::p::my:Parent$${type}::${name}`;
const event = (content: object): EngineEvent => ({ sequence: 0, timestamp: 1000, ...content });
const metadata = (op: string, type: string, name: string) => ({ metadata: { op, type, urn: urn(type, name) } });
const diagnostic = (severity: string, message: string, resource?: string) =>
  event({ diagnosticEvent: { severity, message, color: "never", urn: resource } });
const after = (...events: EngineEvent[]) => events.reduce(afterEvent, startOfUpdate);

const deployment = "kubernetes:apps/v1:Deployment";

it("counts what is done and names what has taken longest", () => {
  const begun = after(
    event({ resourcePreEvent: metadata("create", deployment, "web") }),
    event({ resourcePreEvent: metadata("update", "kind:index:Cluster", "c"), timestamp: 1001 }),
    event({ resourcePreEvent: metadata("same", "a:b:C", "unchanged") }),
    event({ resOutputsEvent: metadata("same", "a:b:C", "unchanged") }),
  );
  expect(describeProgress(begun, 0)).toBe("1 resources, creating apps/v1:Deployment web and 1 more");
  const ended = afterEvent(begun, event({ resOutputsEvent: metadata("create", deployment, "web") }));
  expect(describeProgress(ended, 40)).toBe("2 of 40 resources, updating Cluster c");
  const failed = afterEvent(ended, event({ resOpFailedEvent: metadata("update", "kind:index:Cluster", "c") }));
  expect(describeProgress(failed, 1)).toBe("2 resources");
});

it("keeps errors with their resource, and warnings but those about where plugins come from", () => {
  const { errors, warnings } = after(
    diagnostic("error", "<{%fg 1%}>no such image<{%reset%}>\n", urn(deployment, "web")),
    diagnostic("info#err", "error: program failed\n"),
    diagnostic("info#err", "npm notice"),
    diagnostic("info", "hello"),
    diagnostic("warning", "using pulumi-language-nodejs from $PATH at /x\n"),
    diagnostic("warning", "deprecated"),
  );
  expect(errors).toEqual([
    { resource: "web", message: "no such image" },
    { resource: undefined, message: "error: program failed" },
  ]);
  expect(warnings).toEqual(["deprecated"]);
});

it("takes the changes from the summary", () => {
  const { changes } = after(event({ summaryEvent: { resourceChanges: { create: 3, same: 4, update: 1 } } }));
  expect(describeChanges(changes)).toBe("3 created, 1 updated");
  expect(describeChanges({ same: 4 })).toBe("no changes");
});
