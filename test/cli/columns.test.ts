import { columns } from "../../tools/cli/columns";

test("columns stand below each other", () => {
  expect(
    columns([
      ["a", "long"],
      ["longer", "b"],
    ]),
  ).toEqual(["a       long", "longer  b"]);
});
