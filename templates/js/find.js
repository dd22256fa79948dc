
// The filter language of the list of runs: words, and names compared with values. Knows nothing of pages.
(() => {
  const TERM = /(-?)(?:([^\s"<>=!:]+)(<=|>=|!=|[<>=:]))?("[^"]*"?|\S+)/g;
  const SECONDS = { s: 1, m: 60, min: 60, h: 3600, d: 86400 };
  const HIGHEST = { inf: Infinity, "-inf": -Infinity };

  const plain = (value) => String(value).toLowerCase();
  const listOf = (value) => (Array.isArray(value) ? value : [value]);

  /// A number as it is or as people write it: 3e-4, inf, 2h.
  const numberOf = (value) => {
    if (typeof value === "number") return value;
    if (value in HIGHEST) return HIGHEST[value];
    const [, digits, unit] = /^([-+.\de]+?)(s|m|min|h|d)?$/.exec(plain(value)) || [];
    return digits ? Number(digits) * (SECONDS[unit] || 1) : NaN;
  };

  const isEqual = (value, wanted) => plain(value) === wanted || (wanted !== "" && numberOf(value) === numberOf(wanted));

  /// Whether a value stands so to what was asked for; a value that is missing only differs.
  const stands = (value, way, wanted) => {
    const values = listOf(value ?? []);
    if (way === "!=") return !stands(value, "=", wanted);
    if (way === "=") return values.some((one) => wanted.split(",").some((word) => isEqual(one, word)));
    if (way === ":") return values.some((one) => plain(one).includes(wanted));
    const [one, other] = [numberOf(values[0] ?? ""), numberOf(wanted)];
    return { "<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other }[way];
  };

  /// Whether a word is found in a value: in a text, or as the whole of a number.
  const isFound = (value, word) =>
    listOf(value ?? []).some((one) => (typeof one === "string" ? plain(one).includes(word) : isEqual(one, word)));

  /// Whether nothing can stand so: less and more are said of numbers, and no name is compared twice.
  const isWrong = (name, way, rest, wanted) => /^[<>=]/.test(rest) || (name && /[<>]/.test(way) && Number.isNaN(numberOf(wanted)));

  /// What a search asks for: `{ isNot, name, way, wanted }`, without a name for a plain word; with `wrong`,
  /// as it was typed, where it is no question.
  const terms = (text) => [...text.matchAll(TERM)]
    // Who still types has not said with what to compare.
    .filter(([, , name, , rest]) => name || !/[<>=:]$/.test(rest))
    .map(([text, isNot, name, way, rest]) => {
      const wanted = plain(rest.replaceAll('"', ""));
      return { isNot: isNot !== "", name, way, wanted, wrong: isWrong(name, way, rest, wanted) ? text : "" };
    })
    .filter(({ wanted }) => wanted);

  Object.assign(overnight, { terms, stands, isFound });
})();
