
// One axis of a chart: where a value lies, ticks at round numbers, times at round times.
(() => {
  const { labels, duration, moment } = overnight;
  const LARGEST = 1e300;
  const NARROWEST = 1e-9;
  /// Values outside are kept so many ranges away: far enough for a line's slope to be right.
  const FARTHEST = 100;

  /// The same range, made finite, ordered and wide enough to divide by.
  const drawable = (low, high, isLog) => {
    const nothing = isLog ? [0.1, 1] : [0, 1];
    if (Number.isNaN(low) || Number.isNaN(high)) return nothing;
    const limit = (value) => Math.min(LARGEST, Math.max(-LARGEST, value));
    [low, high] = [limit(Math.min(low, high)), limit(Math.max(low, high))];
    if (isLog) {
      if (high <= 0) return nothing;
      high = Math.max(high, 1 / LARGEST);
      low = low <= 0 ? high / 1e3 : Math.max(low, 1e-301);
      return low < high * (1 - NARROWEST) ? [low, high] : [high / 2, high * 2];
    }
    const magnitude = Math.max(Math.abs(low), Math.abs(high));
    if (high - low > Math.max(magnitude * NARROWEST, 1e-303)) return [low, high];
    const margin = magnitude * 0.05;
    // Around a whole number alone lie its neighbors.
    return margin < 1e-303 || (margin < 1 && Number.isInteger(low)) ? [low - 1, high + 1] : [low - margin, high + margin];
  };

  const linearStep = (low, high, about) => {
    const ideal = (high - low) / about;
    const power = Math.floor(Math.log10(ideal));
    const digit = ideal / 10 ** power;
    return digit <= 1.2 ? [1, power] : digit <= 2.5 ? [2, power] : digit <= 6 ? [5, power] : [1, power + 1];
  };
  // By division where that keeps a multiple at the nearest number to what is written.
  const times = ([digit, power], index) =>
    (power < 0 && power > -300 ? (index * digit) / 10 ** -power : index * digit * 10 ** power);

  const linearTicks = (low, high, about) => {
    const step = linearStep(low, high, about);
    const size = times(step, 1);
    const ticks = [];
    const last = Math.floor(high / size + 1e-6);
    for (let index = Math.ceil(low / size - 1e-6); index <= last && ticks.length < 100; index++) ticks.push(times(step, index));
    return ticks;
  };

  const logTicks = (low, high, about) => {
    const inside = (tick) => tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9);
    const first = Math.floor(Math.log10(low));
    const last = Math.ceil(Math.log10(high));
    const multiples = (factors) => {
      const all = [];
      for (let power = first; power <= last; power++) all.push(...factors.map((factor) => Number(`${factor}e${power}`)));
      return all.filter(inside);
    };
    const decades = multiples([1]);
    if (decades.length > about + 1) {
      const stride = Math.ceil(decades.length / about);
      return decades.filter((_, place) => place % stride === 0);
    }
    if (decades.length >= 3) return decades;
    const finer = multiples([1, 2, 5]);
    return finer.length >= 3 ? finer : linearTicks(low, high, about);
  };

  const TIMES = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
  const timeTicks = (low, high, about, offset) => {
    if (high - low < about) return linearTicks(low, high, about);
    const ideal = (high - low) / about;
    const multiples = (step) => {
      const ticks = [];
      for (let index = Math.ceil((low + offset) / step); index * step - offset <= high && ticks.length < 100; index++) {
        ticks.push(index * step - offset);
      }
      return ticks;
    };
    let at = TIMES.findIndex((step) => step >= ideal * 0.7);
    if (at < 0) return multiples(Math.ceil(ideal / 86400) * 86400);
    // One tick alone tells nothing.
    while (at > 0 && multiples(TIMES[at]).length < 2) at--;
    return multiples(TIMES[at]);
  };

  /// A tick of an axis of durations: one unit where its step allows.
  const durationTick = (seconds, step) => {
    if (seconds === 0) return "0";
    if (step % 86400 === 0) return `${seconds / 86400} d`;
    if (step % 3600 === 0) return `${seconds / 3600} h`;
    if (step % 60 === 0 && seconds % 3600 === 0) return `${seconds / 3600} h`;
    if (step % 60 === 0 && seconds < 7200) return `${seconds / 60} min`;
    return seconds < 300 && step >= 1 ? `${seconds} s` : duration(seconds);
  };
  /// A tick of an axis of clock times: midnight is named by its day.
  const clockTick = (seconds, step) => (step >= 60 && moment(seconds, 60) === "00:00" ? moment(seconds, 86400) : moment(seconds, step));

  /// An axis as drawn. `form` is "number", "duration" (seconds) or "clock" (Unix seconds); `rounded`
  /// widens it to whole ticks; where `counts` are shown, there is no tick at a half.
  const scale = (wantedLow, wantedHigh, { isLog = false, about = 5, form = "number", rounded = false, counts = false } = {}) => {
    let [low, high] = drawable(wantedLow, wantedHigh, isLog);
    if (rounded && !isLog) {
      const step = linearStep(low, high, about);
      const size = times(step, 1);
      low = times(step, Math.floor(low / size + 1e-6));
      high = times(step, Math.ceil(high / size - 1e-6));
    }
    const [from, to] = isLog ? [Math.log(low), Math.log(high)] : [low, high];
    const fraction = (value) => {
      if (isLog && value <= 0) return -FARTHEST;
      const part = isLog ? (Math.log(value) - from) / (to - from) : (value - low) / (high - low);
      return Math.min(FARTHEST + 1, Math.max(-FARTHEST, part));
    };
    const at = (part) => (isLog ? Math.exp(from + part * (to - from)) : low + part * (high - low));
    const offset = form === "clock" ? -new Date(low * 1000).getTimezoneOffset() * 60 || 0 : 0;
    const all = isLog ? logTicks(low, high, Math.max(2, about))
      : form === "number" ? linearTicks(low, high, about) : timeTicks(low, high, about, offset);
    const ticks = counts && all.some(Number.isInteger) ? all.filter(Number.isInteger) : all;
    const step = ticks.length > 1 ? ticks[1] - ticks[0] : high - low;
    const words = form === "duration" ? ticks.map((tick) => (isLog ? duration(tick) : durationTick(tick, step)))
      : form === "clock" ? ticks.map((tick) => clockTick(tick, step)) : labels(ticks);
    return { low, high, isLog, form, fraction, at, ticks, words };
  };

  Object.assign(overnight, { scale });
})();
