import { FactoryError } from "../../components/lib/errors";

/** Code and path of each problem that the call is refused for; fails when it is not refused. */
export const problemsOf = (call: () => unknown): string[] => {
  try {
    call();
  } catch (error) {
    if (error instanceof FactoryError) return error.problems.map(({ code, path }) => `${code} ${path}`);
    throw error;
  }
  throw new Error("not refused");
};
