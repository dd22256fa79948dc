// Who acts: signing in and out, and the one way in which something is asked of the server. These parts are
// loaded only where the server says that people may change something.
"use strict";
(() => {
  const { make, root, parsed, kept, keep } = overnight;
  const nobody = { control: false, person: null, may: [] };
  let me = nobody;
  const listeners = [];

  document.head.append(make("link", { rel: "stylesheet", href: `${root}assets/control.css` }));

  /// What is told to who hears the page.
  const spoken = make("p", { id: "told", class: "heard", role: "status" });
  document.body.append(spoken);
  const tell = (text) => {
    spoken.textContent = text;
  };

  /// A key of one change: it may be sent twice and is done once.
  const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

  const sentence = ({ detail, title, hint }) => {
    const text = `${detail || title || "the server refused"}${hint ? ` (${hint})` : ""}.`;
    return text[0].toUpperCase() + text.slice(1);
  };

  /// The word that goes with each change. Unlike the cookie it is not sent to other servers of this machine.
  const PAGE = "Overnight-Page";
  let word = "";

  const once = async (path, body, key) => {
    const headers = {
      ...(body && { "Content-Type": "application/json", [PAGE]: kept(PAGE) ?? word }), ...(key && { "Idempotency-Key": key }),
    };
    const answer = await fetch(`${root}api/v1/${path}`, {
      method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), cache: "no-store", credentials: "same-origin",
    });
    const value = parsed(await answer.text());
    if (answer.headers.has(PAGE)) keep(PAGE, word = answer.headers.get(PAGE));
    const wait = Number(answer.headers.get("Retry-After")) || 1;
    return { status: answer.status, value, wait, refused: answer.ok ? null : sentence(value || { title: `the server answered ${answer.status}` }) };
  };

  /// Asks the server; `refused` is why not, in its words. One that was cut off is sent again under its key.
  const call = async (path, body, key) => {
    for (const isLast of [false, true]) {
      try {
        const answer = await once(path, body, key);
        if (answer.status === 401 && path !== "session") {
          openSignIn();
          look();
        }
        return answer;
      } catch {
        if (isLast) return { status: 0, value: null, wait: 1, refused: "The server cannot be reached." };
        await new Promise((then) => setTimeout(then, 500));
      }
    }
  };

  /// An address of a run below the API.
  const runPath = (run, ...rest) => ["runs", ...run.split("/").map(encodeURIComponent), ...rest].join("/");

  // What was asked changes what can be asked: where the button that had the focus is gone, its neighbor has it.
  let last = null;
  document.addEventListener("focusin", ({ target }) => {
    if (target.closest(".acts")) last = { target, place: target.closest(".acts").id };
    else if (!target.closest("dialog")) last = null;
  });
  document.addEventListener("pointerdown", ({ target }) => {
    if (!target.closest?.(".acts, dialog")) last = null;
  });
  const keepFocus = () => {
    if (!last || last.target.isConnected || document.activeElement !== document.body) return;
    document.getElementById(last.place)?.querySelector("button, a")?.focus();
  };
  document.addEventListener("overnight:rows", keepFocus);

  // ---- dialogs --------------------------------------------------------------------------------------------

  /// A question with its ends. `send` gets the form's fields and gives what was refused, or nothing when the
  /// question is settled; a text beside `null` stays to be read.
  const ask = ({ id = "ask", title, content = [], word, isGrave, isWide, send, close = "Cancel" }) => {
    document.getElementById(id)?.close();
    const said = make("p", { class: "refused", role: "alert" });
    const leave = make("button", { type: "button" }, close);
    const go = word ? make("button", { type: "submit", class: isGrave ? "grave" : "main" }, word) : "";
    const form = make("form", { novalidate: true }, make("h2", { id: `${id}-title` }, title), ...content, said, make("div", { class: "ends" }, leave, go));
    const dialog = make("dialog", { id, "aria-labelledby": `${id}-title`, class: isWide && "wide" }, form);
    leave.addEventListener("click", () => dialog.close());
    // Removed when the focus is back where it was.
    dialog.addEventListener("close", () => setTimeout(() => {
      dialog.remove();
      keepFocus();
    }));
    let isBusy = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (isBusy) return;
      isBusy = true;
      said.textContent = "";
      go.setAttribute("aria-disabled", "true");
      const refused = await send(form.elements, { dialog, form, go, leave });
      isBusy = false;
      go.removeAttribute("aria-disabled");
      if (refused) said.textContent = refused;
      else if (refused === undefined) dialog.close();
    });
    document.body.append(dialog);
    dialog.showModal();
    // A list that scrolls would come first otherwise.
    (form.querySelector("[autofocus]") ?? (isGrave || !word ? leave : go)).focus();
    return { dialog, form, go, leave, said };
  };

  /// A labeled field, with words of help where there are any.
  const field = (label, input, help) => {
    const id = input.id;
    if (help) input.setAttribute("aria-describedby", `${id}-help`);
    return make("div", { class: "field" }, make("label", { for: id }, label), input, help ? make("p", { id: `${id}-help`, class: "soft" }, help) : "");
  };

  // ---- who it is ------------------------------------------------------------------------------------------

  const take = (next) => {
    const before = JSON.stringify(me);
    me = next?.control ? next : nobody;
    if (JSON.stringify(me) !== before) listeners.forEach((listener) => listener());
    show();
  };

  const place = make("span", { id: "who" });
  const show = () => {
    if (!place.isConnected) document.querySelector("nav .right")?.append(place);
    const button = (id, word) => make("button", { type: "button", id }, word);
    const next = !me.control
      ? make("span", { id: "who" })
      : make("span", { id: "who" }, ...(me.person
        ? [make("b", {}, me.person.name), `, ${me.person.role}`, " ", button("sign-out", "Sign out")]
        : [button("sign-in", "Sign in")]));
    overnight.patch(place, next);
  };

  // Who signs in or out in one tab does so in all.
  const others = typeof BroadcastChannel === "function" ? new BroadcastChannel(`overnight-people-${document.documentElement.dataset.workspace}`) : null;
  if (others) others.onmessage = () => look();

  /// Asks who the server takes this browser for.
  const look = async () => {
    const { status, value } = await call("me");
    if (status === 200) take(value);
  };

  const openSignIn = () => {
    if (document.getElementById("signing")) return;
    const token = make("input", { type: "password", autofocus: true, id: "token", name: "token", autocomplete: "off", autocapitalize: "off", spellcheck: "false", required: true });
    ask({
      id: "signing",
      title: "Sign in",
      content: [field("Token", token, make("span", {}, "The one that ", make("code", {}, "overnight serve --add-person"), " printed for you. It is not kept: this browser gets a cookie that no script reads, until you sign out or the server ends."))],
      word: "Sign in",
      send: async () => {
        const given = token.value.trim();
        if (!given) {
          token.focus();
          return "A token is needed.";
        }
        const answer = await call("session", { token: given });
        token.value = "";
        if (answer.refused) {
          token.focus();
          return answer.status === 401 ? "Nobody is known by this token." : answer.refused;
        }
        take(answer.value);
        others?.postMessage("changed");
        tell(`Signed in as ${me.person?.name}, ${me.person?.role}.`);
        return undefined;
      },
    });
  };

  document.addEventListener("click", async ({ target }) => {
    if (target.id === "sign-in") openSignIn();
    if (target.id !== "sign-out") return;
    const { refused } = await call("session/end", {});
    if (refused) return tell(refused);
    await look();
    others?.postMessage("changed");
    tell("Signed out.");
    document.getElementById("sign-in")?.focus();
  });

  overnight.control = {
    call, ask, field, tell, newKey, runPath, look,
    may: (word) => me.may.includes(word),
    onPerson: (listener) => listeners.push(listener),
  };
})();
