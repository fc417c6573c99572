/** Begins work that goes on beside tests, and gives what waits for its end; only that tells what went wrong in it. */
export const begin = (work: () => Promise<void>): (() => Promise<void>) => {
  const ended = Promise.allSettled([work()]);
  return async () => {
    const [end] = await ended;
    if (end.status === "rejected") throw end.reason as Error;
  };
};
