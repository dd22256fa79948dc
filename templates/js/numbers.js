
// Numbers and times as people read them: the same forms as in the pages' text.
(() => {
  const grouped = (value, decimals) =>
    value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });

  const trimmed = (text) => (text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text);

  const scientific = (value, digits) => {
    if (value === 0) return "0";
    const [mantissa, exponent] = value.toExponential(Math.max(0, digits - 1)).split("e");
    return `${trimmed(mantissa)}e${Number(exponent)}`;
  };

  const exponentOf = (value) => Number(Math.abs(value).toExponential().split("e")[1]);

  /// Four significant digits: 1.471, 0.00312, 3e-5, 412,100, 14.3 M.
  const measured = (value, digits = 4) => {
    if (Number.isNaN(value)) return "nan";
    if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
    if (value === 0) return "0";
    const exponent = exponentOf(value);
    if (exponent < -3 || exponent >= 12) return scientific(value, digits);
    for (const [power, suffix] of [[9, " G"], [6, " M"]]) {
      if (exponent >= power) return measured(value / 10 ** power, Math.min(digits, 3)) + suffix;
    }
    const text = grouped(value, Math.max(0, digits - 1 - exponent));
    return Number.isInteger(value) || exponent < -2 ? trimmed(text) : text;
  };

  /// A setting as somebody would have typed it: without the last digits that arithmetic leaves.
  const typed = (value) => {
    if (Array.isArray(value)) return `[${value.map(typed).join(", ")}]`;
    if (typeof value !== "number") return String(value);
    const meant = Number(value.toPrecision(12));
    return meant !== 0 && (Math.abs(meant) < 1e-2 || Math.abs(meant) >= 1e7) ? meant.toExponential().replace("+", "") : String(meant);
  };

  const isWhole = (value) => Math.abs(value - Math.round(value)) < 1e-6 * Math.max(Math.abs(value), 1e-300) && Math.abs(value) >= 0.5;

  /// Labels for the ticks of one axis: all with the same decimals, suffix or form of power.
  const labels = (ticks) => {
    const largest = Math.max(0, ...ticks.map(Math.abs));
    let step = Infinity;
    for (let at = 1; at < ticks.length; at++) step = Math.min(step, Math.abs(ticks[at] - ticks[at - 1]));
    if (!(step > 0 && step < Infinity)) step = largest;
    const overDecades = ticks[0] > 0 && largest / ticks[0] > 90;
    if (!(largest >= 9e-3 && largest < 1e12) || (overDecades && (ticks[0] < 0.9e-3 || largest > 1e5))) {
      const own = isWhole(step / 10 ** exponentOf(step)) ? 0 : 1;
      const digits = Math.min(8, Math.max(1, exponentOf(largest) - exponentOf(step) + 1 + own));
      return ticks.map((tick) => scientific(tick, digits));
    }
    if (overDecades) return ticks.map((tick) => trimmed(grouped(tick, 6)));
    const [scale, suffix] = largest >= 1e9 ? [1e9, " G"] : largest >= 1e6 ? [1e6, " M"] : largest >= 1e5 ? [1e3, " k"] : [1, ""];
    let decimals = 0;
    while (decimals < 12 && !isWhole((step / scale) * 10 ** decimals)) decimals++;
    return ticks.map((tick) => (tick === 0 ? "0" : grouped(tick / scale, decimals).replace(/^-(?=[0.,]*$)/, "") + suffix));
  };

  /// Seconds as people say them, in two parts at the most: 1 h 12 min.
  const duration = (seconds) => {
    if (!Number.isFinite(seconds)) return measured(seconds);
    if (seconds < 0) return `-${duration(-seconds)}`;
    if (seconds < 10) return `${trimmed(seconds.toFixed(2))} s`;
    if (seconds < 90) return `${Math.round(seconds)} s`;
    const minutes = Math.round(seconds / 60);
    if (seconds < 600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
    if (minutes < 60) return `${minutes} min`;
    if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
    return `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
  };

  const two = (number) => String(number).padStart(2, "0");

  /// A moment in the reader's own time, as exactly as a step of so many seconds needs it.
  const moment = (seconds, step = 1) => {
    const then = new Date(seconds * 1000);
    if (Number.isNaN(then.getTime())) return "";
    const day = `${two(then.getMonth() + 1)}-${two(then.getDate())}`;
    if (step >= 86400) return day;
    const clock = `${two(then.getHours())}:${two(then.getMinutes())}`;
    if (step >= 60) return clock;
    return `${clock}:${two(then.getSeconds())}`;
  };

  /// A time as ISO 8601; empty for one that no calendar has, as a damaged record may name.
  const iso = (seconds) => {
    const then = new Date(seconds * 1000);
    return Number.isNaN(then.getTime()) ? "" : then.toISOString();
  };

  Object.assign(overnight, { measured, typed, labels, duration, moment, iso });
})();
