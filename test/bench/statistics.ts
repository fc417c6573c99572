/** The value below which a part of the samples lies, by the nearest rank. @param part from 0 to 1 */
export const quantile = (samples: readonly number[], part: number): number => {
  const sorted = [...samples].sort((a, b) => a - b);
  const rank = Math.max(1, Math.ceil(part * sorted.length));
  return sorted[Math.min(rank, sorted.length) - 1] ?? Number.NaN;
};

/** A number with three digits that count. */
export const short = (value: number): string => (Number.isNaN(value) ? "-" : String(Number(value.toPrecision(3))));
