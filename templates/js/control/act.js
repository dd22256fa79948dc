// What may be asked of runs: buttons for what the reader's role and the run's state allow.
(() => {
  const { make, onPage, patch } = overnight;
  const { call, ask, field, tell, newKey, runPath, may, onPerson } = overnight.control;

  const AT_WORK = ["starting", "running"];
  const ENDING = ["pausing", "stopping"];
  const WAITS = ["waiting", "lost"];
  const ENDED = ["failed", "killed", "skipped", "stopped", "paused"];
  const OPEN = [...AT_WORK, ...ENDING, ...WAITS, ...ENDED];

  /// Each with the states in which it can be asked, and what is said when it was. As the server judges, but
  /// for what would change nothing.
  const ACTS = {
    pause: { word: "Pause", states: [...AT_WORK, ...WAITS], said: "was asked to pause" },
    resume: { word: "Resume", states: [...ENDING, "paused", "stopped"], said: "was asked to go on" },
    stop: { word: "Stop", states: [...AT_WORK, "pausing", ...WAITS, "paused"], said: "was asked to stop", isGrave: true },
    retry: { word: "Retry", states: [...WAITS, ...ENDED], said: "was asked to start again" },
    priority: { word: "Priority", states: OPEN, said: "has its priority" },
    note: { word: "Note", states: [...OPEN, "finished"], said: "has its note" },
    tag: { word: "Tags", states: [...OPEN, "finished"], said: "has its tags" },
    clean: { word: "Delete", states: ["failed", "killed", "stopped", "finished", "unreadable"], said: "is deleted", isGrave: true },
  };
  const NAMES = Object.keys(ACTS);

  /// What a run is at, as its page or its row shows it. One that never started has nothing to retry, unless it
  /// is held for a person.
  const stateIn = (root, isImported, hasSteps = false) => {
    const sign = root.querySelector(".st");
    return { state: sign?.textContent.trim() ?? "", isFresh: sign?.textContent.trim() === "waiting" && !sign.classList.contains("held") && !hasSteps, isImported };
  };

  /// What can be asked of a run; an imported one belongs to whoever wrote it.
  const open = ({ state, isFresh, isImported }) => NAMES.filter((name) => may(name) && ACTS[name].states.includes(state)
    && (!isImported || name === "clean") && (!isFresh || name !== "retry"));

  const bytes = (count) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let at = 0;
    for (; count >= 1024 && at < 4; at++) count /= 1024;
    return `${at === 0 || count >= 100 ? Math.round(count) : count.toPrecision(3)} ${units[at]}`;
  };

  // ---- what each asks for first ---------------------------------------------------------------------------

  const STOP = "A run at work writes a checkpoint and ends; one that waits does not start. What it has so far stays, and Resume goes on from there.";

  /// The last checkpoint, an earlier one, or the beginning.
  const steps = () => {
    const found = [...document.querySelectorAll("#checkpoints tr[id^=checkpoint-]")].map(({ id }) => Number(id.slice(11))).filter(Number.isFinite);
    const [last, ...earlier] = found.sort((one, other) => other - one);
    const said = (step) => step.toLocaleString("en-US");
    return make("select", { id: "from-step", name: "step" },
      make("option", { value: "" }, last === undefined ? "where it was" : `the last checkpoint, step ${said(last)}`),
      ...earlier.filter(Boolean).map((step) => make("option", { value: step }, `the checkpoint of step ${said(step)}`)),
      make("option", { value: 0 }, "the beginning"));
  };

  const number = (value) => make("input", { id: "priority", name: "priority", autofocus: true, inputmode: "numeric", autocomplete: "off", value });
  const whole = (text) => (/^[+-]?\d{1,15}$/.test(text.trim()) ? Number(text) : null);

  const LONGEST = 100; // characters of a tag, as the server has it
  /// The tags that a text lists. A space is a part of one, as on the command line.
  const tagsIn = (text) => [...new Set(text.split(",").map((part) => part.trim()).filter(Boolean))];
  /// A field for tags that shows what its text comes to, before anything is sent.
  const tagField = () => {
    const shown = make("p", { class: "soft preview", role: "status" });
    const input = make("input", { id: "tag", name: "tag", autofocus: true, maxlength: 1000, autocomplete: "off" });
    input.addEventListener("input", () => {
      const found = tagsIn(input.value);
      const isPlain = found.length < 2 && !/[\s,]/.test(input.value.trim());
      shown.replaceChildren(...(isPlain ? [] : [found.length === 1 ? "One tag: " : `${found.length} tags: `, ...found.map((tag) => make("span", { class: "tag" }, tag))]));
    });
    return [field("Tags", input, "Several with commas between; a space is a part of a tag."), shown];
  };

  /// The content of an act's question, and what its form says: the bodies to send, or why there is none.
  const QUESTIONS = {
    pause: () => [[], () => ({})],
    resume: () => [[], () => ({})],
    stop: () => [[make("p", {}, STOP)], () => ({})],
    retry: (isOne) => [
      isOne ? [field("Go on from", steps(), "Rows and samples of later steps are cut when it starts.")] : [make("p", {}, "Each goes on from its last checkpoint.")],
      ({ step }) => (step?.value ? { from_step: Number(step.value) } : {}),
    ],
    priority: (isOne, run) => [
      [field("Priority", number(run?.priority ?? 0), "A whole number; runs of a higher one start first.")],
      ({ priority }) => (whole(priority.value) === null ? "A priority is a whole number." : { priority: whole(priority.value) }),
    ],
    note: () => [
      [field("Note", make("textarea", { id: "note", name: "note", autofocus: true, rows: 5, maxlength: 10000 }), "It is added to the notes that are there, with your name.")],
      ({ note }) => (note.value.trim() ? { text: note.value.trim() } : "A note has words."),
    ],
    tag: () => [
      tagField(),
      ({ tag }) => {
        const found = tagsIn(tag.value);
        const long = found.find((one) => one.length > LONGEST);
        if (long) return `A tag has at most ${LONGEST} characters, and “${long.slice(0, 20)}…” has ${long.length}.`;
        return found.length ? found.map((one) => ({ tag: one })) : "A tag has at least one letter.";
      },
    ],
  };

  // ---- one run --------------------------------------------------------------------------------------------

  let said = { text: "", isBad: false };
  let isBusy = false;

  const of = (root) => {
    const at = root.querySelector("[data-acts]");
    return at && { at, run: at.dataset.acts, ...stateIn(at, at.dataset.imported !== undefined, root.querySelector("#checkpoints") !== null) };
  };

  const button = (id, word, data) => {
    const made = make("button", { type: "button", id }, word);
    Object.assign(made.dataset, data);
    return made;
  };

  const showRun = (root) => {
    const found = of(root);
    if (!found) return;
    const { at, run, isImported } = found;
    const names = open(found);
    const links = [
      ...(may("queue") && !isImported ? [button("queue-like", "Queue one like this", { queue: run })] : []),
      ...(may("log") && root.querySelector("#log") ? [make("a", { href: `${overnight.root}api/v1/${runPath(run, "log")}`, download: true }, "Download the log")] : []),
    ];
    const next = names.length || links.length || said.text
      ? make("section", { id: "acts", class: "acts", "aria-label": "This run" },
        ...names.map((name) => button(`act-${name}`, ACTS[name].word, { act: name })), ...links,
        make("p", { id: "acts-said", class: said.isBad && "refused" }, said.text))
      : null;
    const old = root.querySelector("#acts");
    if (!next) old?.remove();
    else if (old) patch(old, next);
    else (root.querySelector(".keys") ?? at).before(next);
    showFiles(root, run);
  };

  /// Checkpoints are for owners to take away.
  const showFiles = (root, run) => {
    for (const old of root.querySelectorAll(".take")) old.remove();
    if (!may("checkpoints")) return;
    for (const row of root.querySelectorAll("#checkpoints tr[id^=checkpoint-]")) {
      const href = `${overnight.root}api/v1/${runPath(run, "checkpoints", row.id.slice(11), "model.safetensors")}`;
      row.lastElementChild.append(make("span", { class: "take" }, " ", make("a", { href, download: true }, "download")));
    }
  };

  const say = (text, isBad = false) => {
    said = { text, isBad };
    if (of(document)) showRun(document);
    tell(text);
  };

  const short = (run) => run.slice(run.indexOf("/") + 1);

  /// Sends what was decided, and says what came of it.
  const send = async (run, name, body) => {
    const { refused } = await call(runPath(run, name), body, newKey());
    if (refused) return refused;
    say(`${short(run)} ${ACTS[name].said}${body.priority === undefined ? "" : ` ${body.priority}`}.`);
    return undefined;
  };

  const at = async (run, name) => {
    if (name === "clean") return overnight.control.clean([run]);
    if (name === "tag" || name === "note") return overnight.control.words(run, name);
    if (name === "pause" || name === "resume") {
      const refused = await send(run, name, {});
      if (refused) say(refused, true);
      return undefined;
    }
    const known = name === "priority" ? (await call(runPath(run))).value : null;
    const [content, read] = QUESTIONS[name](true, known);
    ask({
      title: `${ACTS[name].word} ${short(run)}${name === "stop" ? "?" : ""}`, content, word: ACTS[name].word, isGrave: ACTS[name].isGrave,
      send: (elements) => {
        const body = read(elements);
        return typeof body === "string" ? body : send(run, name, body);
      },
    });
    return undefined;
  };

  document.addEventListener("click", async (event) => {
    const name = event.target.dataset?.act;
    // The second click of a double click means the same one.
    if (!name || isBusy || event.detail > 1) return;
    isBusy = true;
    try {
      await at(of(document).run, name);
    } finally {
      isBusy = false;
    }
  });

  onPage(showRun);
  onPerson(() => {
    said = { text: "", isBad: false };
    showRun(document);
  });
  showRun(document);
  Object.assign(overnight.control, { ACTS, NAMES, QUESTIONS, open, stateIn, bytes, button, say, short, field });
})();
