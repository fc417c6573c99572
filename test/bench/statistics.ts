/** The value below which a part of the samples lies, by the nearest rank. @param part from 0 to 1 */
export const quantile = (samples: readonly number[], part: number): number => {
  const sorted = [...samples].sort((a, b) => a - b);
  const rank = Math.max(1, Math.ceil(part * sorted.length));
  return sorted[Math.min(rank, sorted.length) - 1] ?? Number.NaN;
};

/**
 * The 99th percentile as a table shows it. Of fewer than a hundred samples it is the largest one, and is called that.
 */
export const tail = (samples: readonly number[]): string => {
  const value = short(quantile(samples, 0.99));
  return samples.length < 100 ? `${value} (max of ${samples.length})` : value;
};

/** A number with three digits that count. */
export const short = (value: number): string => (Number.isNaN(value) ? "-" : String(Number(value.toPrecision(3))));
