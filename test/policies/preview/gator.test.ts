import { FactoryError } from "../../../components/lib/errors";
import { askGator, gatorPath } from "../../../policies/preview/gator";
import { readToolchain } from "../../../stacks/toolchain";
import { describeWith } from "../../support/programs";

const constraint = {
  apiVersion: "constraints.gatekeeper.sh/v1beta1",
  kind: "Unknown",
  metadata: { name: "of-no-template" },
};
const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: "n" } };

describeWith("gator")("gator", () => {
  const ask = (...objects: object[]) => askGator(gatorPath(readToolchain()), objects);

  test("that gives no answer passes nothing, and is named with its own words", () => {
    expect(() => ask(namespace, constraint)).toThrow(/SSF-PREVIEW-004 \S+gator: .*template "unknown" not found/s);
    expect(ask(namespace)).toEqual([]);
  });

  test("that cannot be run as well", () => {
    expect(() => askGator("/nowhere/gator", [namespace])).toThrow(FactoryError);
    expect(() => askGator("/nowhere/gator", [namespace])).toThrow(/SSF-PREVIEW-004 \/nowhere\/gator: .*ENOENT/);
  });
});
