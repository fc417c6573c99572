/** The value below which a part of the samples lies, by the nearest rank. @param part from 0 to 1 */
export const quantile = (samples: readonly number[], part: number): number => {
  const sorted = [...samples].sort((a, b) => a - b);
  const rank = Math.max(1, Math.ceil(part * sorted.length));
  return sorted[Math.min(rank, sorted.length) - 1] ?? Number.NaN;
};

/** A number with three digits that count. */
export const short = (value: number): string => (Number.isNaN(value) ? "-" : String(Number(value.toPrecision(3))));

/** Lines of columns that stand below each other; the first row is the heading. */
export const columns = (rows: readonly (readonly string[])[]): string[] => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
};
