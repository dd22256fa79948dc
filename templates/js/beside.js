
// What can be said of runs beside each other. Numbers in and out.
(() => {
  const PAIRS = 32; // of a color and a dash

  /// The number that stands for each run where several experiments meet: its own, or the next whose color
  /// and dash are free, as src/report/chart/meeting.rs has it.
  const meeting = (own) => {
    const taken = new Set();
    const take = (pair) => !taken.has(pair) && taken.add(pair);
    return own.map((number) => {
      if (take(number % PAIRS)) return number;
      for (let further = 1; further < PAIRS; further++) if (take((number + further) % PAIRS)) return (number + further) % PAIRS;
      return number;
    });
  };

  /// The place of the run that a number's color and dash stand for here.
  const holderOf = (here, number) => here.findIndex((other) => other % PAIRS === number % PAIRS);

  const classOf = (number) => {
    const dash = Math.floor(number / 8) % 4;
    return `c${(number % 8) + 1}${dash ? ` d${dash}` : ""}`;
  };

  /// Student's t that 95 of 100 values keep within, by degrees of freedom; a little too wide beyond ten.
  const STUDENT = [12.71, 4.31, 3.19, 2.78, 2.58, 2.45, 2.37, 2.31, 2.27, 2.23];
  const student = (freedom) => STUDENT[Math.floor(freedom) - 1] ?? 1.96 + 2.8 / freedom;

  /// How far two runs lie apart by their seeds alone: the standard deviation of their difference, and what
  /// 95 of 100 differences stay below (Welch's degrees of freedom). Null where one has no other seed. Runs
  /// that are of one group have one spread in common.
  const noise = (one, other) => {
    if (!one || !other) return null;
    const [a, b] = [one.deviation ** 2, other.deviation ** 2];
    const deviation = Math.sqrt(a + b);
    const freedom = one === other ? one.seeds - 1 : (a + b) ** 2 / (a ** 2 / (one.seeds - 1) + b ** 2 / (other.seeds - 1));
    return { deviation, reach: deviation === 0 ? 0 : deviation * student(Math.max(1, freedom)) };
  };

  Object.assign(overnight, { meeting, holderOf, classOf, noise });
})();
