// The chat page of the sandbox: what is shown and done around the messages.
"use strict";

const $ = (id) => document.getElementById(id);
let state = null;
let person = localStorage.getItem("person") || "";
let place = localStorage.getItem("place") || ""; // the id of a group; "": the chat with the bot
let words = WORDS.ru;
let replyTo = null;
let asking = null; // the AbortController of the question for news
let before = null; // counts at the last action
let inline = null; // the inline query whose results are shown
let inlineTimer = 0;
let typingTimer = 0;
let deepLink = new URLSearchParams(location.search).get("start");
if (deepLink !== null && !/^[\w-]{1,64}$/.test(deepLink)) deepLink = null;

function element(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// -- talking to the sandbox

async function act(name, data, quietly = false) {
  if (!quietly) before = state && { calls: state.calls_total, tmdb: state.tmdb_requests };
  const form = data instanceof FormData;
  if (form) {
    data.set("person", person);
    data.set("chat", place);
  }
  try {
    const reply = await fetch(`/chat/api/${name}`, {
      method: "POST",
      headers: form ? {} : { "Content-Type": "application/json" },
      body: form ? data : JSON.stringify({ person, chat: place, ...data }),
    });
    const result = await reply.json();
    if (!reply.ok) toast(result.error);
    return reply.ok ? result : null;
  } catch {
    toast(words.offline);
    return null;
  }
}

async function listen() {
  for (;;) {
    asking = new AbortController();
    const asked = person + place;
    try {
      const query = new URLSearchParams({ person, chat: place, since: state ? state.version : "" });
      const reply = await fetch(`/chat/api/state?${query}`, { signal: asking.signal });
      const news = await reply.json();
      if (asked === person + place) show(news);
      await new Promise((done) => setTimeout(done, 100)); // an import changes much: not every step is drawn
    } catch (error) {
      if (error.name === "AbortError") continue;
      setStatus(words.offline, true);
      state = null;
      await new Promise((done) => setTimeout(done, 1000));
    }
  }
}

function refresh() {
  state = null;
  if (asking) asking.abort();
}

// -- drawing

function show(news) {
  const first = state === null || state.person?.id !== news.person?.id || state.group?.id !== news.group?.id;
  state = news;
  person = String(news.person?.id ?? "");
  place = String(news.group?.id ?? "");
  localStorage.setItem("person", person);
  localStorage.setItem("place", place);
  setLanguage(news.person?.language_code === "en" ? "en" : "ru");
  $("bot-name").textContent = news.group?.title ?? news.bot.first_name;
  document.querySelector(".avatar").textContent = $("bot-name").textContent.slice(0, 1);
  setStatus(!news.polled ? words.asleep : news.group ? words.members(news.group.members) : words.bot, !news.polled);
  showPeople();
  if (first) {
    $("messages").replaceChildren();
    before = before || { calls: news.calls_total, tmdb: news.tmdb_requests };
  }
  showAction();
  showChannel();
  showCalls();
  showExamples();
  const begins = !news.group && !news.started;
  $("welcome").hidden = !begins;
  $("description").textContent = news.description || news.bot.first_name;
  $("start").hidden = news.blocked || !(begins || (deepLink !== null && !news.group));
  $("unblock").hidden = !news.blocked;
  $("form").hidden = news.blocked || !$("start").hidden;
  $("examples").hidden = $("form").hidden;
  $("block").textContent = words.block;
  $("block").hidden = news.blocked || !news.started || Boolean(news.group);
  showMessages(first); // last, when the box has its height
}

function setLanguage(language) {
  if (words === WORDS[language] && document.documentElement.lang === language && setLanguage.done) return;
  setLanguage.done = true;
  words = WORDS[language];
  document.documentElement.lang = language;
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = words[node.dataset.text];
  for (const node of document.querySelectorAll("[data-label]")) {
    node.setAttribute("aria-label", words[node.dataset.label]);
    if (node.tagName === "BUTTON") node.title = words[node.dataset.label];
  }
  $("composer").placeholder = words.composer;
  for (const code of ["ru", "en"]) $(`lang-${code}`).setAttribute("aria-pressed", String(code === language));
  $("messages").replaceChildren();
}

function setStatus(text, bad) {
  if ($("status").textContent !== text) $("status").textContent = text;
  $("status").classList.toggle("bad", Boolean(bad));
}

function showPeople() {
  const known = JSON.stringify(state.people.map((one) => [one.id, one.first_name, one.groups])) + document.documentElement.lang;
  if (showPeople.known !== known) {
    showPeople.known = known;
    const people = state.people.map((one) => element("option", { value: `${one.id}:` }, one.first_name));
    const groups = state.people.flatMap((one) =>
      one.groups.map((group) => element("option", { value: `${one.id}:${group.id}` }, `${group.title} — ${one.first_name}`)));
    $("people").replaceChildren(...people, ...(groups.length ? [element("optgroup", { label: words.inGroup }, ...groups)] : []));
  }
  $("people").value = `${person}:${place}`;
}

// Messages with a line for each day between them, as {key, version, make}.
function items() {
  const found = [];
  let day = "";
  for (const message of state.messages) {
    const date = new Date(message.date * 1000);
    if (date.toDateString() !== day) {
      day = date.toDateString();
      found.push({ key: `day ${day}`, version: new Date().toDateString(), make: () => dayNode(date, day) });
    }
    found.push({ key: String(message.id), version: versionOf(message), make: () => messageNode(message) });
  }
  return found;
}

function dayNode(date, day) {
  const now = new Date();
  const yesterday = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1);
  const year = date.getFullYear() === now.getFullYear() ? undefined : "numeric";
  const text = day === now.toDateString() ? words.today : day === yesterday.toDateString() ? words.yesterday
    : date.toLocaleDateString(document.documentElement.lang, { day: "numeric", month: "long", year });
  return element("div", { class: "day", "data-message-id": `day ${day}`, "data-version": now.toDateString() }, text);
}

function showMessages(first) {
  const box = $("messages");
  const near = first || box.scrollHeight - box.scrollTop - box.clientHeight < 120;
  const old = new Map([...box.children].map((node) => [node.dataset.messageId, node]));
  let grown = false;
  let previous = null;
  for (const { key, version, make } of items()) {
    let node = old.get(key);
    if (!node || node.dataset.version !== version) {
      const fresh = make();
      const focused = node?.contains(document.activeElement) ? document.activeElement.dataset.at : null;
      if (node) node.replaceWith(fresh);
      else if (previous) previous.after(fresh);
      else box.prepend(fresh);
      if (focused) fresh.querySelector(`[data-at="${focused}"]`)?.focus();
      grown = true;
      node = fresh;
    }
    old.delete(key);
    previous = node;
  }
  for (const node of old.values()) node.remove();
  if (grown && (near || state.messages.at(-1)?.mine)) box.scrollTop = box.scrollHeight;
}

// Words to type and files to send with one click.
function showExamples() {
  const known = document.documentElement.lang + state.samples.join();
  if (showExamples.known === known) return;
  showExamples.known = known;
  $("examples").replaceChildren(
    element("span", {}, words.examples),
    ...words.titles.map((text) => element("button", { type: "button", onclick: () => send(text) }, text)),
    ...state.samples.map((name) =>
      element("button", { type: "button", "data-sample": name, onclick: () => act("sample", { name }) }, icon("file"), name)));
}

function showAction() {
  clearTimeout(typingTimer);
  const doing = state.action;
  $("typing").hidden = !doing;
  $("status").hidden = Boolean(doing);
  if (!doing) return;
  const text = words.doing[doing] ?? words.doing.typing;
  if ($("doing").textContent !== text) $("doing").textContent = text;
  typingTimer = setTimeout(() => { $("typing").hidden = true; $("status").hidden = false; }, state.action_left * 1000);
}

function showChannel() {
  $("channel-title").textContent = state.channel_title;
  const photos = state.channel.filter((message) => message.photo);
  $("channel-count").textContent = photos.length || "";
  const key = photos.map((message) => `${message.id}:${message.version}`).join() + document.documentElement.lang;
  if ($("channel-panel").hidden || showChannel.key === key) return;
  showChannel.key = key;
  $("posters").replaceChildren(...photos.map((message) => {
    const address = `/chat/api/file/${encodeURIComponent(message.photo.file_id)}`;
    const { width, height, file_id } = message.photo;
    return element("figure", { title: file_id },
      element("img", { src: address, alt: message.text || words.photo, loading: "lazy", "data-file-id": file_id }),
      element("figcaption", {}, message.text || `${width} × ${height}`));
  }));
  if (!photos.length) $("posters").replaceChildren(element("p", { class: "note" }, words.empty));
}

function showCalls() {
  $("calls").replaceChildren(...state.calls.map((call) => {
    const fine = call.status === 200;
    return element("li", {},
      element("span", { class: "method" }, call.method, call.how ? element("span", { class: "how" }, ` ${call.how}`) : null),
      element("span", { class: "ms" }, `${call.ms} ms`),
      element("span", { class: fine ? "ok" : "no" }, String(call.status || "…")),
      call.description ? element("span", { class: "why" }, call.description) : null);
  }));
  const since = before ?? { calls: state.calls_total, tmdb: state.tmdb_requests };
  const counts = new Map();
  for (const call of state.calls.slice(0, Math.max(0, state.calls_total - since.calls))) {
    const name = call.how ? `${call.method} (${call.how})` : call.method;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const parts = [...counts].map(([name, count]) => `${count} × ${name}`);
  $("summary").textContent =
    `${parts.join(", ") || words.nothing} · ${words.tmdb}: ${Math.max(0, state.tmdb_requests - since.tmdb)}`;
}

function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { $("toast").hidden = true; }, 4000);
}

// The menu of a message: at the pointer, or at its button; arrows, Home, End and Escape work.
function openMenu(message, opener, event) {
  const menu = $("message-menu");
  const entries = [
    [words.reply, () => startReply(message)],
    [words.forward, () => act("forward", { message: message.id })],
    message.text ? [words.copy, () => copyText(message.text)] : null,
    message.poll?.chosen.length && !message.poll.is_closed ? [words.retract, () => act("vote", { message: message.id, options: [] })] : null,
  ].filter(Boolean);
  menu.replaceChildren(...entries.map(([text, done]) =>
    element("button", { type: "button", role: "menuitem", tabindex: "-1", onclick: () => { closeMenu(); done(); } }, text)));
  openMenu.opener = opener;
  menu.hidden = false;
  const at = event ? { x: event.clientX, y: event.clientY } : opener.getBoundingClientRect();
  menu.style.left = `${Math.max(4, Math.min(at.x, innerWidth - menu.offsetWidth - 4))}px`;
  menu.style.top = `${Math.max(4, Math.min(at.y, innerHeight - menu.offsetHeight - 4))}px`;
  menu.firstElementChild.focus();
}

function closeMenu(back = false) {
  if ($("message-menu").hidden) return false;
  $("message-menu").hidden = true;
  if (back) openMenu.opener?.focus();
  return true;
}

function openPhoto(fileId, title) {
  $("photo").src = fileAddress(fileId);
  $("photo").alt = title || words.photo;
  $("viewer").showModal();
}

function alertBox(text) {
  $("alert-text").textContent = text;
  $("alert").showModal();
}

// -- writing

async function send(text) {
  const reply = replyTo;
  cancelReply();
  return act("send", { text, reply_to: reply?.id });
}

function compose(text) {
  $("composer").value = text;
  $("composer").focus();
  typed();
}

function startReply(message) {
  replyTo = message;
  $("replying-text").textContent = `${words.reply}: ${message.text || words.photo}`;
  $("replying").hidden = false;
  $("composer").focus();
}

function cancelReply() {
  replyTo = null;
  $("replying").hidden = true;
}

function grow() {
  const box = $("composer");
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight}px`;
}

function showCommands(filter = "") {
  const found = (state?.commands ?? []).filter((one) => one.command.startsWith(filter));
  $("commands").replaceChildren(...found.map((one) =>
    element("button", { type: "button", "data-command": one.command, onclick: () => choose(one.command) },
      element("b", {}, `/${one.command}`), element("span", {}, one.description))));
  $("commands").hidden = !found.length;
  $("menu").setAttribute("aria-expanded", String(found.length > 0));
}

function hideCommands() {
  $("commands").hidden = true;
  $("menu").setAttribute("aria-expanded", "false");
}

function choose(command) {
  hideCommands();
  $("composer").value = "";
  grow();
  $("composer").focus();
  send(`/${command}`);
}

function typed() {
  grow();
  const text = $("composer").value;
  const command = /^\/(\w*)$/.exec(text);
  if (command) showCommands(command[1].toLowerCase());
  else hideCommands();
  clearTimeout(inlineTimer);
  const prefix = state ? `@${state.bot.username} ` : "";
  if (prefix && text.toLowerCase().startsWith(prefix.toLowerCase())) {
    inlineTimer = setTimeout(() => ask(text.slice(prefix.length).trim(), ""), 350);
  } else {
    inline = null;
    $("results").hidden = true;
  }
}

async function ask(query, offset) {
  const mine = { query };
  inline = mine;
  $("results").hidden = false;
  if (!offset) $("results").replaceChildren(element("p", {}, words.searching));
  const found = await act("inline", { query, offset });
  if (inline !== mine) return; // something else has been typed since
  if (!found) { $("results").hidden = true; return; }
  const nodes = found.results.map((result) =>
    element("button", { type: "button", class: "result", "data-result-id": result.id, onclick: () => pick(found.query, result.id) },
      result.photo ? element("img", { src: `/chat/api/file/${encodeURIComponent(result.photo)}`, alt: "" }) : null,
      element("span", {}, result.title || words.photo, element("small", {}, result.description))));
  if (found.button) {
    const { text, start_parameter: start } = found.button;
    nodes.unshift(element("button", { type: "button", class: "result", onclick: () => { compose(""); send(`/start ${start ?? ""}`.trim()); } }, text));
  }
  if (!nodes.length && !offset) nodes.push(element("p", {}, found.answered ? words.noResults : words.noAnswer));
  if (found.next_offset) {
    const more = element("button", { type: "button", class: "quiet" }, words.more);
    more.addEventListener("click", () => { more.remove(); ask(query, found.next_offset); });
    nodes.push(more);
  }
  if (offset) $("results").append(...nodes);
  else $("results").replaceChildren(...nodes);
}

async function pick(query, result) {
  compose("");
  await act("choose", { query, result });
}

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("composer").value;
  if (!text.trim() || !state) return;
  $("composer").value = "";
  typed();
  if (!(await send(text)) && !$("composer").value) compose(text); // what was not sent is not lost
});
$("composer").addEventListener("input", typed);
$("composer").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("form").requestSubmit();
  }
  if (event.key === "ArrowUp" && !$("commands").hidden) {
    event.preventDefault();
    $("commands").lastElementChild?.focus();
  }
});
$("commands").addEventListener("keydown", (event) => {
  const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
  if (!step) return;
  event.preventDefault();
  (document.activeElement[step] ?? $("composer")).focus();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || closeMenu(true)) return;
  if (!$("commands").hidden) { hideCommands(); $("composer").focus(); }
  else if (!$("results").hidden) compose("");
  else if (replyTo) cancelReply();
  else toggleSide(false);
});
$("menu").addEventListener("click", () => ($("commands").hidden ? showCommands() : hideCommands()));
$("reply-cancel").addEventListener("click", cancelReply);
$("start").addEventListener("click", async () => {
  const payload = deepLink;
  deepLink = null;
  history.replaceState(null, "", "/");
  $("start").hidden = true;
  await send(payload ? `/start ${payload}` : "/start");
  $("composer").focus();
});
$("unblock").addEventListener("click", () => act("block", { blocked: false }));
$("block").addEventListener("click", () => { toggleSide(false); act("block", { blocked: true }); });
$("attach").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", async () => {
  const [file] = $("file").files;
  if (!file) return;
  const form = new FormData();
  form.set("person", person);
  form.set("file", file);
  $("file").value = "";
  await act("attach", form);
});

// -- the panel and the tabs

$("people").addEventListener("change", () => {
  [person, place] = $("people").value.split(":");
  before = null;
  cancelReply();
  refresh();
});
for (const code of ["ru", "en"]) {
  $(`lang-${code}`).addEventListener("click", () => act("language", { language: code }, true));
}
$("add-person").addEventListener("click", () => {
  $("new-person-name").value = "";
  $("new-person").returnValue = "";
  $("new-person").showModal();
});
$("new-person").addEventListener("close", async () => {
  const name = $("new-person-name").value.trim();
  if ($("new-person").returnValue !== "add" || !name) return;
  const added = await act("person", { name, language: document.documentElement.lang }, true);
  if (!added) return;
  [person, place] = [String(added.id), ""];
  before = null;
  refresh();
});

$("empty-all").addEventListener("click", () => { $("empty").returnValue = ""; $("empty").showModal(); });
$("empty").addEventListener("close", async () => {
  if ($("empty").returnValue !== "erase") return;
  toggleSide(false);
  await act("empty", {}, true);
  before = null;
  refresh();
});
$("viewer").addEventListener("click", () => $("viewer").close());
$("viewer").addEventListener("close", () => { $("photo").removeAttribute("src"); });
$("message-menu").addEventListener("keydown", (event) => {
  const all = [...$("message-menu").children];
  const here = all.indexOf(document.activeElement);
  const next = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: -1, Tab: null }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  if (next === null) closeMenu(true);
  else all.at(next % all.length).focus();
});
document.addEventListener("pointerdown", (event) => { if (!event.target.closest("#message-menu")) closeMenu(); });
$("messages").addEventListener("scroll", () => closeMenu());

function selectTab(name) {
  for (const one of ["chat", "channel"]) {
    const on = one === name;
    $(`${one}-tab`).setAttribute("aria-selected", String(on));
    $(`${one}-tab`).tabIndex = on ? 0 : -1;
    $(`${one}-panel`).hidden = !on;
  }
  if (state) showChannel();
  if (name === "chat") $("messages").scrollTop = $("messages").scrollHeight;
}
for (const name of ["chat", "channel"]) $(`${name}-tab`).addEventListener("click", () => selectTab(name));
$("tabs").addEventListener("keydown", (event) => {
  if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
  const other = $("chat-tab").getAttribute("aria-selected") === "true" ? "channel" : "chat";
  selectTab(other);
  $(`${other}-tab`).focus();
});

function toggleSide(open) {
  $("side").classList.toggle("open", open);
  $("side-toggle").setAttribute("aria-expanded", String(open));
}
$("side-toggle").addEventListener("click", (event) => {
  event.stopPropagation();
  toggleSide(!$("side").classList.contains("open"));
});
document.querySelector("main").addEventListener("click", () => toggleSide(false));

listen();
