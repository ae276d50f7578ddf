// The chat page of the sandbox. What a bot says is not to be trusted: every text becomes a text node,
// every address is checked, and nothing of a message is ever read as HTML.
"use strict";

const WORDS = {
  ru: {
    panel: "Панель песочницы", tabs: "Что показать", chat: "Чат", channel: "Закрытый канал", person: "Кто пишет",
    language: "Язык", addPerson: "Новый человек", newPerson: "Имя", add: "Добавить", cancel: "Отмена",
    block: "Заблокировать бота", unblock: "РАЗБЛОКИРОВАТЬ", lastAction: "После последнего действия",
    calls: "Вызовы Bot API", messages: "Сообщения", commands: "Команды", results: "Найдено", menu: "Меню",
    start: "НАЧАТЬ", attach: "Прикрепить файл", composer: "Сообщение", send: "Отправить", reply: "Ответить",
    forward: "Переслать", edited: "изменено", via: "через", forwarded: "Переслано от", bot: "бот",
    asleep: "бот не запущен: никто не забирает сообщения", offline: "песочница не отвечает", photo: "Фотография",
    channelNote: "Сюда бот один раз отправляет каждый постер; дальше он показывает его по file_id.",
    empty: "Пока пусто.", tmdb: "запросов к TMDb", nothing: "вызовов нет", more: "Ещё", noResults: "Ничего не найдено",
    noAnswer: "Бот не ответил", searching: "Ищу…", copied: "Скопировано", bytes: "Б",
    sandboxNote: "Это песочница: Telegram и TMDb на этой машине, без сети. Память — до перезапуска.",
    doing: { typing: "печатает…", upload_photo: "отправляет фото…", upload_document: "отправляет файл…" },
  },
  en: {
    panel: "Sandbox panel", tabs: "What to show", chat: "Chat", channel: "Private channel", person: "Who writes",
    language: "Language", addPerson: "New person", newPerson: "Name", add: "Add", cancel: "Cancel",
    block: "Block the bot", unblock: "UNBLOCK", lastAction: "Since the last action",
    calls: "Bot API calls", messages: "Messages", commands: "Commands", results: "Results", menu: "Menu",
    start: "START", attach: "Attach a file", composer: "Message", send: "Send", reply: "Reply",
    forward: "Forward", edited: "edited", via: "via", forwarded: "Forwarded from", bot: "bot",
    asleep: "the bot is not running: nobody takes its messages", offline: "the sandbox does not answer", photo: "Photo",
    channelNote: "Each poster is sent here once; from then on the bot shows it by file_id.",
    empty: "Nothing yet.", tmdb: "requests to TMDb", nothing: "no calls", more: "More", noResults: "Nothing found",
    noAnswer: "The bot did not answer", searching: "Searching…", copied: "Copied", bytes: "B",
    sandboxNote: "This is a sandbox: Telegram and TMDb on this machine, no network. It remembers until it restarts.",
    doing: { typing: "is typing…", upload_photo: "sends a photo…", upload_document: "sends a file…" },
  },
};

const $ = (id) => document.getElementById(id);
let state = null;
let person = localStorage.getItem("person") || "";
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
  if (form) data.set("person", person);
  try {
    const reply = await fetch(`/chat/api/${name}`, {
      method: "POST",
      headers: form ? {} : { "Content-Type": "application/json" },
      body: form ? data : JSON.stringify({ person, ...data }),
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
    const asked = person;
    try {
      const query = new URLSearchParams({ person, since: state ? state.version : "" });
      const reply = await fetch(`/chat/api/state?${query}`, { signal: asking.signal });
      const news = await reply.json();
      if (asked === person) show(news);
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
  const first = state === null || state.person?.id !== news.person?.id;
  state = news;
  person = String(news.person?.id ?? "");
  localStorage.setItem("person", person);
  setLanguage(news.person?.language_code === "en" ? "en" : "ru");
  $("bot-name").textContent = news.bot.first_name;
  setStatus(news.polled ? words.bot : words.asleep, !news.polled);
  showPeople();
  if (first) {
    $("messages").replaceChildren();
    before = before || { calls: news.calls_total, tmdb: news.tmdb_requests };
  }
  showMessages(first);
  showAction();
  showChannel();
  showCalls();
  $("welcome").hidden = news.started;
  $("description").textContent = news.description || news.bot.first_name;
  $("start").hidden = news.blocked || (news.started && deepLink === null);
  $("unblock").hidden = !news.blocked;
  $("form").hidden = news.blocked;
  $("block").textContent = words.block;
  $("block").hidden = news.blocked || !news.started;
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
  const known = state.people.map((one) => `${one.id} ${one.first_name}`).join();
  if (showPeople.known !== known) {
    showPeople.known = known;
    $("people").replaceChildren(...state.people.map((one) => element("option", { value: one.id }, one.first_name)));
  }
  $("people").value = person;
}

function showMessages(first) {
  const box = $("messages");
  const near = first || box.scrollHeight - box.scrollTop - box.clientHeight < 120;
  const old = new Map([...box.children].map((node) => [node.dataset.messageId, node]));
  let grown = false;
  let previous = null;
  for (const message of state.messages) {
    const key = String(message.id);
    let node = old.get(key);
    if (!node || node.dataset.version !== String(message.version)) {
      const fresh = messageNode(message);
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

function messageNode(message) {
  const bubble = element("div", { class: "bubble" });
  if (message.origin !== undefined) bubble.append(element("div", { class: "from" }, `${words.forwarded} ${message.origin}`));
  if (message.via) bubble.append(element("div", { class: "from" }, `${words.via} @${message.via}`));
  if (message.reply_to) bubble.append(element("div", { class: "quote" }, message.reply_to.text));
  const body = message.text ? element("div", { class: "body" }) : null;
  if (body) formatted(body, message.text, message.entities);
  if (body && message.above) bubble.append(body);
  if (message.photo) {
    const address = `/chat/api/file/${encodeURIComponent(message.photo.file_id)}`;
    const { width, height } = message.photo;
    bubble.append(
      element("a", { class: "photo", href: address, target: "_blank", rel: "noopener" },
        element("img", { src: address, width, height, alt: words.photo, "data-file-id": message.photo.file_id })),
    );
  }
  if (message.document) bubble.append(documentNode(message.document));
  if (body && !message.above) bubble.append(body);
  const time = new Date(message.date * 1000);
  bubble.append(
    element("div", { class: "meta" },
      element("span", { class: "acts" },
        element("button", { type: "button", onclick: () => startReply(message) }, words.reply),
        element("button", { type: "button", onclick: () => act("forward", { message: message.id }) }, words.forward)),
      message.edited ? element("span", { class: "edited" }, words.edited) : null,
      element("time", { datetime: time.toISOString() },
        time.toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit" }))),
  );
  const kind = `message${message.mine ? " mine" : ""}${message.photo ? " with-photo" : ""}`;
  const node = element("div", { class: kind, "data-message-id": message.id, "data-version": message.version }, bubble);
  if (message.rows.length) {
    const rows = message.rows.map((row, y) =>
      element("div", { class: "keys" }, ...row.map((button, x) => buttonNode(message, button, `${y}-${x}`))));
    node.append(element("div", { class: "buttons" }, ...rows));
  }
  return node;
}

function buttonNode(message, button, at) {
  if (button.url !== undefined) {
    const address = safeAddress(button.url);
    if (address && startPayload(address) === null) {
      return element("a", { href: address, target: "_blank", rel: "noopener noreferrer", "data-at": at }, `${button.text} ↗`);
    }
  }
  const node = element("button", { type: "button", "data-at": at, "data-callback": button.data }, button.text);
  node.addEventListener("click", async () => {
    if (button.data !== undefined) {
      node.setAttribute("aria-busy", "true");
      const answer = await act("press", { message: message.id, data: button.data });
      node.removeAttribute("aria-busy");
      if (answer?.text) (answer.alert ? alertBox : toast)(answer.text);
    } else if (button.url !== undefined) {
      openLink(button.url);
    } else if (button.inline !== undefined) {
      compose(`@${state.bot.username} ${button.inline}`);
    } else if (button.copy !== undefined) {
      await navigator.clipboard?.writeText(button.copy).catch(() => {});
      toast(words.copied);
    }
  });
  return node;
}

function documentNode(file) {
  const size = file.size < 1024 ? `${file.size} ${words.bytes}` : `${(file.size / 1024).toFixed(1)} K${words.bytes}`;
  const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  icon.setAttribute("viewBox", "0 0 24 24");
  icon.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", "M6 3h8l5 5v13H6zM14 3v5h5M12 11v6M9 14l3 3 3-3");
  icon.append(path);
  const address = `/chat/api/file/${encodeURIComponent(file.file_id)}`;
  return element("a", { class: "document", href: address, download: file.name }, icon,
    element("span", {}, file.name, element("small", {}, size)));
}

// Entities of a message as elements: offsets are UTF-16 code units, which is how JavaScript counts too.
function formatted(parent, text, entities, from = 0, to = text.length) {
  let at = from;
  const inside = [...entities];
  while (inside.length) {
    const entity = inside.shift();
    const begin = Math.max(entity.offset, at);
    const end = Math.min(entity.offset + entity.length, to);
    if (end <= begin) continue;
    parent.append(text.slice(at, begin));
    const nested = [];
    while (inside.length && inside[0].offset < end) nested.push(inside.shift());
    const node = entityNode(entity, text.slice(begin, end));
    formatted(node, text, nested, begin, end);
    parent.append(node);
    at = end;
  }
  parent.append(text.slice(at, to));
}

const PLAIN = {
  bold: "strong", italic: "em", underline: "u", strikethrough: "s", code: "code", pre: "pre",
  blockquote: "blockquote", expandable_blockquote: "blockquote",
};

function entityNode(entity, text) {
  if (PLAIN[entity.type]) return element(PLAIN[entity.type]);
  if (entity.type === "text_link" || entity.type === "url") {
    const address = safeAddress(entity.url ?? text);
    if (!address) return element("span");
    if (startPayload(address) !== null) {
      return element("a", { href: address, onclick: (event) => { event.preventDefault(); openLink(address); } });
    }
    return element("a", { href: address, target: "_blank", rel: "noopener noreferrer" });
  }
  if (entity.type === "bot_command") {
    return element("button", { type: "button", class: "inline", onclick: () => send(text) });
  }
  if (entity.type === "mention" && state && text.slice(1).toLowerCase() === state.bot.username.toLowerCase()) {
    return element("button", { type: "button", class: "inline", onclick: () => compose(`${text} `) });
  }
  if (entity.type === "spoiler") {
    const node = element("span", { class: "spoiler", tabindex: "0", role: "button" });
    const reveal = () => node.classList.add("shown");
    node.addEventListener("click", reveal);
    node.addEventListener("keydown", (event) => event.key === "Enter" && reveal());
    return node;
  }
  return element("span");
}

function safeAddress(text) {
  try {
    const address = new URL(text);
    return ["http:", "https:", "mailto:", "tel:"].includes(address.protocol) ? address.href : null;
  } catch {
    return null;
  }
}

// The payload of a t.me link to this bot ("" if it has none), or null for any other address.
function startPayload(address) {
  const url = new URL(address);
  if (!state || !(["t.me", "telegram.me"].includes(url.hostname) || url.origin === location.origin)) return null;
  if (url.pathname.slice(1).toLowerCase() !== state.bot.username.toLowerCase()) return null;
  return url.searchParams.get("start") ?? "";
}

function openLink(text) {
  const address = safeAddress(text);
  const payload = address && startPayload(address);
  if (payload !== null && payload !== undefined && address) send(`/start ${payload}`.trim());
}

function showAction() {
  clearTimeout(typingTimer);
  const doing = state.action;
  $("typing").hidden = !doing;
  if (!doing) return;
  $("doing").textContent = words.doing[doing] ?? words.doing.typing;
  typingTimer = setTimeout(() => { $("typing").hidden = true; }, state.action_left * 1000);
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
  if (event.key !== "Escape") return;
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
  person = $("people").value;
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
  person = String(added.id);
  before = null;
  refresh();
});

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
