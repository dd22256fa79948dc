
// The first page tells of the time since the reader looked last: what is seen is kept in the browser, under
// the workspace's name. Without a memory, and without this script, it tells of the last batch.
(() => {
  const { make, measured, duration, iso, parsed, kept, keep, words, writeWords } = overnight;
  const PERIODS = { look: "since I last looked", batch: "the last batch", day: "24 hours" };
  const PAUSE = 30 * 60; // seconds without a look after which the next one is another
  const DAY = 86400;
  const key = `overnight-looked-${document.documentElement.dataset.workspace}`;

  let since = null; // Unix seconds up to which the reader knew all, when this look began
  let pristine = null; // the section as it came, about the last batch
  let told = null;

  /// Keeps that everything up to `seen` has been looked at.
  const remember = (seen) => {
    const now = Date.now() / 1000;
    // What is kept may be anybody's: a browser that keeps nothing, or rubbish, tells of the last batch.
    const { at, ...before } = kept(key) || {};
    const [seenBefore, sinceBefore] = [before.seen, before.since].map((time) => (time > 0 && iso(time) ? time : null));
    since = now - at > PAUSE ? seenBefore : sinceBefore ?? since;
    keep(key, { since, seen, at: now });
  };

  const period = () => {
    const said = words().get("since");
    return Object.hasOwn(PERIODS, said) && (said !== "look" || since) ? said : since ? "look" : "batch";
  };

  const local = (seconds) => iso(seconds + told.zone);
  const clock = (seconds) => {
    const [then, now] = [local(seconds), local(told.built)];
    if (!then) return "";
    const day = new Date(then).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
    return `${then.slice(0, 10) === now.slice(0, 10) ? "" : `${day} `}${then.slice(11, 16)}`;
  };

  const joules = (from) => {
    const part = (14 * DAY) / told.energy.length;
    // Of the part in which it begins, as much as lies behind.
    return told.energy.reduce((sum, joules, at) => {
      const left = (told.built - from - (told.energy.length - 1 - at) * part) / part;
      return sum + joules * Math.min(1, Math.max(0, left));
    }, 0);
  };

  const isLong = (name) => name.length > 60; // as the server has it
  const row = ([time, kind, word, experiment, label, href, color, text], at, several) => make("tr", { id: `news-${at}` },
    make("td", { class: "soft" }, make("time", { datetime: local(time).replace("Z", "") }, clock(time))),
    make("td", {}, make("span", { class: `st ${kind}` }, word)),
    make("td", {}, make("span", { class: `swatch ${color}` }), make("a", { href, title: experiment, class: isLong((several ? experiment : "") + label) && "long" }, several ? `${experiment} · ` : "", label)),
    make("td", { class: "wrap" }, text));

  const said = (count) => count.toLocaleString("en-US");
  const counted = (count, [one, many]) => `${said(count)} ${count === 1 ? one : many}`;

  /// Makes the section tell of the time from `from` on.
  const retell = (section, from, isLook) => {
    const begin = Math.max(from, told.from);
    const events = told.events.filter(([time]) => time > begin);
    const count = (word) => events.filter((event) => event[1] === word || event[2] === word).length;
    const counts = { finished: count("finished"), failed: count("failed"), resumed: count("resumed") };
    const parts = [
      counts.finished && `${counted(counts.finished, ["run", "runs"])} finished`,
      counts.failed && `${said(counts.failed)} failed`,
      counts.resumed && `${counted(counts.resumed, ["was", "were"])} resumed`,
    ].filter(Boolean);
    const when = begin > from ? `since ${clock(begin)}` : isLook ? "since you last looked" : "in the last 24 hours";
    const what = parts.length > 1 ? `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}` : parts[0] || "No run ended";
    section.querySelector("h1").textContent = `${what} ${when}. ${section.dataset.need}`.trim();
    let line = section.querySelector("h1 + p:not(#periods)");
    if (!line) section.querySelector("h1").after((line = make("p", { class: "soft" })));
    line.textContent = begin > from
      ? `This page goes back to ${clock(begin)} only.`
      : isLook ? `You last looked ${clock(from)}, ${duration(told.built - from)} ago.` : `Since ${clock(from)}.`;
    const facts = section.querySelector(".keys");
    const fact = (name, value, unit) => make("li", { class: "key", "data-fact": name }, make("span", {}, name), make("b", { class: name === "failed" && "bad" }, value), unit ? " " : "", unit ? make("small", {}, unit) : "");
    for (const name of [...Object.keys(counts), "at work, all runs", "energy"]) facts.querySelector(`[data-fact="${name}"]`)?.remove();
    facts.prepend(...Object.entries(counts).filter(([, count]) => count).map(([name, count]) => fact(name, said(count))));
    const used = told.energy.length ? joules(begin) / 3.6e6 : 0;
    if (used > 0.0005) facts.append(fact("energy, about", measured(used, 2), "kWh"));
    for (const lead of section.querySelectorAll("[data-latest]")) lead.hidden = Number(lead.dataset.latest) <= begin;
    const leads = section.querySelector(".leads");
    if (leads) leads.hidden = !leads.querySelector("p:not([hidden])");
    const news = section.querySelector("#news");
    const several = new Set(told.events.map((event) => event[3])).size > 1;
    news.hidden = !events.length;
    news.querySelector("tbody").replaceChildren(...events.slice(0, told.rows).map((event, at) => row(event, at, several)));
    const more = news.querySelector(".more");
    more.hidden = events.length <= told.rows;
    more.firstChild.data = `And ${events.length - told.rows} more: see `;
  };

  const show = (root) => {
    const section = root.querySelector("#since");
    if (!section || !pristine || !told) return;
    const chosen = period();
    const next = pristine.cloneNode(true);
    if (chosen !== "batch") retell(next, chosen === "day" ? told.built - DAY : since, chosen === "look");
    // Where nothing has run there is no time to tell of.
    if (!told.runs) return;
    const offered = Object.keys(PERIODS).filter((name) => name !== "look" || since);
    const named = (name) => (name === "batch" && !told.batch ? "all that is here" : PERIODS[name]);
    const button = (name) => make("button", { type: "button", "data-since": name, "aria-pressed": String(name === chosen) }, named(name));
    next.querySelector("#periods")?.replaceChildren(...offered.map(button));
    overnight.patch(section, next);
  };

  const prepareMorning = (root) => {
    const section = root.querySelector("#since");
    if (!section) return;
    pristine = section.cloneNode(true);
    told = parsed(section.dataset.told);
    if (!told) return;
    remember(told.built);
    show(root);
  };

  document.addEventListener("click", ({ target }) => {
    const { since: chosen } = target.dataset || {};
    if (!chosen) return;
    const said = words();
    said.set("since", chosen);
    writeWords(said);
    show(document);
  });
  window.addEventListener("hashchange", () => show(document));
  overnight.onPage(prepareMorning);
})();
