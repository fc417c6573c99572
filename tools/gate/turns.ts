/** Does some work when it is its owner's turn. */
export type InTurn = <T>(owner: string, work: () => Promise<T>) => Promise<T>;

/** Lets so many works of one owner go on at once; the others of that owner wait, and nobody else does. */
export const takingTurns = (atOnce: number): InTurn => {
  const working = new Map<string, number>();
  const waiting = new Map<string, (() => void)[]>();
  return async (owner, work) => {
    const busy = working.get(owner) ?? 0;
    if (busy < atOnce) working.set(owner, busy + 1);
    else
      await new Promise<void>((resume) => {
        waiting.set(owner, [...(waiting.get(owner) ?? []), resume]);
      });
    try {
      return await work();
    } finally {
      const [next, ...rest] = waiting.get(owner) ?? [];
      if (rest.length > 0) waiting.set(owner, rest);
      else waiting.delete(owner);
      // Whoever waits takes the place that becomes free.
      if (next !== undefined) next();
      else if (working.get(owner) === 1) working.delete(owner);
      else working.set(owner, (working.get(owner) ?? 1) - 1);
    }
  };
};
