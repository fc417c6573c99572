import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { hasIdleRunDirectory, removeIdleRunDirectory } from "../../tools/plugins/kind/container-engine";

describe("what podman keeps while containers run", () => {
  const place = mkdtempSync(join(tmpdir(), "run-"));
  const directory = join(place, "run");
  const containers = join(directory, "containers/overlay-containers");
  beforeEach(() => mkdirSync(containers, { recursive: true }));
  afterEach(() => rmSync(directory, { recursive: true, force: true }));
  afterAll(() => rmSync(place, { recursive: true }));

  test("goes when no container is left, and need not be there", () => {
    expect(hasIdleRunDirectory(directory)).toBe(true);
    removeIdleRunDirectory(directory);
    expect(existsSync(directory)).toBe(false);
    expect(hasIdleRunDirectory(directory)).toBe(false);
    expect(() => removeIdleRunDirectory(directory)).not.toThrow();
  });

  test("stays while another cluster has one", () => {
    mkdirSync(join(containers, "a-container"));
    removeIdleRunDirectory(directory);
    expect(existsSync(containers)).toBe(true);
    expect(hasIdleRunDirectory(directory)).toBe(false);
  });
});
