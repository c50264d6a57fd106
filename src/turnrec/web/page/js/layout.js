/** Where in a recording's file an instant of its call lies, by the file's spans. It draws nothing. */

/**
 * The layout of a closed recording.
 * @param {object} recording with `spans` and `rate_hz`, as `GET /v1/recordings/{id}` tells it.
 */
export function layoutOf(recording) {
  const rate = recording.rate_hz || 8000;
  const spans = (recording.spans ?? []).map((span) => ({
    kind: span.kind,
    isGap: span.kind === "gap" || span.kind === "redacted",
    from: span.start_sample / rate,
    to: (span.start_sample + span.samples) / rate,
    beginMs: span.begin_us / 1000,
    endMs: span.end_us / 1000,
    holds: span.sources ?? [],
    node: span.node ?? null,
  }));
  const seconds = recording.samples ? recording.samples / rate : recording.duration_s ?? 0;

  /** Seconds in the file, of a moment of the call (ms); held to the file. */
  function placeOf(atMs) {
    const span = spans.findLast((one) => one.beginMs <= atMs);
    if (span === undefined) return 0;
    return Math.min(span.from + (atMs - span.beginMs) / 1000, span.to);
  }

  const between = spans.filter((one) => one.isGap).map((one) => ({ ...one, lasted: (one.endMs - one.beginMs) / 1000 }));
  // What nobody held is no gap in anybody's eyes: the monitor's start, or the change to another party's segment.
  const gaps = between.filter(isHeld);
  const seams = between.filter((one) => !isHeld(one));
  return { seconds, spans, gaps, seams, placeOf, beginMs: spans[0]?.beginMs ?? null, endMs: spans.at(-1)?.endMs ?? null };
}

/** Whether somebody had it not recorded, or cut it out. */
export const isHeld = (gap) => gap.kind === "redacted" || gap.holds.length > 0;

/** The gap that a second of the file lies in, if any. */
export const gapAt = (layout, second) => layout.gaps.find((gap) => gap.from <= second && second < gap.to) ?? null;

/** The first gap that begins after a second of the file. */
export const gapAfter = (layout, second) => layout.gaps.find((gap) => gap.from > second + 0.05) ?? null;

/** The last gap that begins before a second of the file, with some grace for who has just jumped there. */
export const gapBefore = (layout, second) => layout.gaps.findLast((gap) => gap.from < second - 0.6) ?? null;
