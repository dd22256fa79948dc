
// What becomes of a line before it is drawn: an average, a part, a range. Plain numbers in and out.
(() => {
  // A wider range costs little up to so many times the height of the telling one; a line is far from the
  // others beyond so many times what half of them need, where at most every fifth is. As on the server.
  const [CHEAP, FAR, FEW] = [2.5, 4, 5];

  /// The debiased exponential mean that TensorBoard draws: each row keeps `weight` for the next one, and
  /// the sum is divided by the weight it has gathered. Of reduced points the means of whole stretches
  /// enter, each with the weight of all its rows. Gaps stay gaps and change nothing.
  const smooth = (line, weight) => {
    const { x, y, n } = line.means || { x: line.x, y: line.y, n: null };
    const average = new Float64Array(y.length);
    let sum = 0;
    let gathered = 0;
    for (let at = 0; at < y.length; at++) {
      if (!Number.isFinite(y[at])) {
        average[at] = y[at];
        continue;
      }
      const kept = n ? weight ** n[at] : weight;
      sum = kept * sum + (1 - kept) * y[at];
      gathered = kept * gathered + (1 - kept);
      average[at] = sum / gathered;
    }
    return { x, y: average };
  };

  /// The first place in a rising list that is not below `wanted`.
  const placeOf = (list, wanted) => {
    let [from, to] = [0, list.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (list[middle] < wanted) from = middle + 1;
      else to = middle;
    }
    return from;
  };

  /// The place nearest to `wanted` in a rising list, or -1 in an empty one.
  const nearest = (list, wanted) => {
    const after = placeOf(list, wanted);
    if (after === 0) return list.length ? 0 : -1;
    if (after === list.length || wanted - list[after - 1] <= list[after] - wanted) return after - 1;
    return after;
  };

  /// Read between knots, and beyond their ends at the slope of the outermost two.
  const between = (from, to, value) => {
    const last = from.length - 1;
    if (last < 1) return last === 0 && from[0] === value ? to[0] : NaN;
    const after = Math.min(last, Math.max(1, placeOf(from, value)));
    const [low, high] = [from[after - 1], from[after]];
    return high > low ? to[after - 1] + ((to[after] - to[after - 1]) * (value - low)) / (high - low) : to[after];
  };

  /// At most two points for each of so many columns, extremes kept, as on the server.
  const reduce = ({ x, y }, low, high, columns) => {
    if (x.length <= columns * 2) return { x, y };
    const kept = [];
    const keep = (place) => kept.length && kept[kept.length - 1] === place ? 0 : kept.push(place);
    const column = (place) => Math.floor(((x[place] - low) / (high - low)) * columns);
    for (let start = 0; start < x.length;) {
      const [here, isGap] = [column(start), !Number.isFinite(y[start])];
      let [lowest, highest, end] = [start, start, start];
      while (end < x.length && column(end) === here && !Number.isFinite(y[end]) === isGap) {
        if (y[end] < y[lowest]) lowest = end;
        if (y[end] > y[highest]) highest = end;
        end++;
      }
      keep(Math.min(lowest, highest));
      keep(Math.max(lowest, highest));
      start = end;
    }
    keep(x.length - 1);
    return { x: kept.map((place) => x[place]), y: kept.map((place) => y[place]) };
  };

  /// Finite values between two ends of x; only above zero where `isLog`.
  const shown = (lines, low, high, isLog) => {
    const values = [];
    for (const { x, y } of lines) {
      for (let at = placeOf(x, low); at < x.length && x[at] <= high; at++) {
        if (Number.isFinite(y[at]) && (!isLog || y[at] > 0)) values.push(y[at]);
      }
    }
    return values;
  };

  const ends = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);

  /// The range without the outermost twentieth at each end, as TensorBoard leaves outliers out.
  const percentiles = (values, outside = 0.05) => {
    const sorted = Float64Array.from(values).sort();
    if (!sorted.length) return [Infinity, -Infinity];
    const at = (part) => sorted[Math.round(part * (sorted.length - 1))];
    const [low, high] = [at(outside), at(1 - outside)];
    return low < high ? [low, high] : [sorted[0], sorted[sorted.length - 1]];
  };

  /// The ends of a line after its own first quarter, without the outermost two hundredths part.
  const tail = ({ x, y }) => {
    const start = placeOf(x, x[0] + (x[x.length - 1] - x[0]) / 4);
    const values = Array.from(x.length - start >= 3 ? y.slice(start) : y).filter(Number.isFinite);
    return values.length ? percentiles(values, 0.005) : null;
  };

  /// The farthest end that is still near to those of most lines, as the server has it.
  const nearestToMost = (tails, side, outward) => {
    const sorted = tails.map((tail) => tail[side] * outward).sort((one, other) => one - other);
    const middle = sorted[sorted.length >> 1];
    const lowest = Math.min(...tails.map(([low, high]) => high - low));
    const fence = sorted[0] + FAR * Math.max(lowest, middle - sorted[0], Math.abs(middle) * 0.01);
    const near = sorted.findLastIndex((end) => sorted.length < 3 || end <= fence);
    return outward * (((sorted.length - 1 - near) * FEW > sorted.length) ? sorted.at(-1) : sorted[near]);
  };

  /// Where lines differ from each other: the first quarter of each, rare spikes and single lines far from
  /// the others widen the range only if that costs little height.
  const telling = (lines, low, high) => {
    const all = ends(shown(lines, low, high, false));
    const tails = lines.map(tail).filter(Boolean);
    if (!tails.length) return all;
    const [bottom, top] = [nearestToMost(tails, 0, -1), nearestToMost(tails, 1, 1)];
    const height = Math.max(top - bottom, 0);
    return [top - all[0] <= CHEAP * height ? all[0] : bottom, all[1] - bottom <= CHEAP * height ? all[1] : top];
  };

  /// Stretches of finite values, and the gaps between them with the value beside which a mark stands.
  const split = ({ x, y }) => {
    const stretches = [];
    const gaps = [];
    let start = null;
    for (let at = 0; at <= y.length; at++) {
      const isFinite = at < y.length && Number.isFinite(y[at]);
      if (isFinite && start === null) start = at;
      if (!isFinite && start !== null) {
        stretches.push([start, at]);
        start = null;
      }
      if (at < y.length && !isFinite && (at === 0 || Number.isFinite(y[at - 1]))) gaps.push(at);
    }
    const beside = (at) => {
      if (at > 0) return y[at - 1];
      const next = y.findIndex(Number.isFinite);
      return next < 0 ? null : y[next];
    };
    return { stretches, gaps: gaps.map((at) => ({ x: x[at], value: y[at], beside: beside(at) })) };
  };

  /// Several lines as one over the places that all of them cover: their mean, lowest and highest value. As
  /// on the server: straight between a line's own places, and without what is not finite.
  const together = (lines) => {
    const finite = lines.map(({ x, y }) => {
      const kept = [...x.keys()].filter((at) => Number.isFinite(x[at]) && Number.isFinite(y[at]));
      return { x: kept.map((at) => x[at]), y: kept.map((at) => y[at]) };
    });
    const joined = { x: [], y: [], low: [], high: [] };
    if (finite.some(({ x }) => !x.length)) return joined;
    const [from, to] = [Math.max(...finite.map(({ x }) => x[0])), Math.min(...finite.map(({ x }) => x[x.length - 1]))];
    const places = [...new Set(finite.flatMap(({ x }) => x))].filter((at) => at >= from && at <= to).sort((one, other) => one - other);
    const at = finite.map(() => 0);
    for (const place of places) {
      const values = finite.map(({ x, y }, line) => {
        while (x[at[line] + 1] <= place) at[line]++;
        const [one, next] = [at[line], at[line] + 1];
        return next < x.length && place > x[one] ? y[one] + (y[next] - y[one]) * ((place - x[one]) / (x[next] - x[one])) : y[one];
      });
      joined.x.push(place);
      joined.y.push(values.reduce((sum, value) => sum + value / values.length, 0));
      joined.low.push(Math.min(...values));
      joined.high.push(Math.max(...values));
    }
    return joined;
  };

  Object.assign(overnight, { smooth, together, placeOf, nearest, between, reduce, shown, ends, percentiles, telling, split });
})();
