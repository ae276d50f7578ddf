// How one message looks. What a bot says is not to be trusted: every text becomes a text node, every address is checked.
"use strict";

const ICONS = {
  out: "M8 5h11v11M19 5L5 19", inline: "M4 6h16v10H9l-5 4zM8 11h8", copy: "M9 9h11v11H9zM4 15V4h11",
  tick: "M3 13l5 5L20 6", ticks: "M1 13l5 5L17 6M11 17l1 1L23 6", more: "M5 12h.01M12 12h.01M19 12h.01",
  file: "M6 3h8l5 5v13H6zM14 3v5h5M12 11v6M9 14l3 3 3-3",
};

function icon(name, kind = "") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  if (kind) svg.setAttribute("class", kind);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

const fileAddress = (id) => `/chat/api/file/${encodeURIComponent(id)}`;

function messageNode(message) {
  if (message.service) {
    const text = words.service[message.service] ?? words.unknownService;
    return element("div", { class: "service", "data-message-id": message.id, "data-version": message.version }, text);
  }
  const bubble = element("div", { class: "bubble" });
  if (message.from && !message.mine) bubble.append(element("div", { class: "from name" }, message.from));
  if (message.origin !== undefined) bubble.append(element("div", { class: "from" }, `${words.forwarded} ${message.origin}`));
  if (message.via) bubble.append(element("div", { class: "from" }, `${words.via} @${message.via}`));
  if (message.reply_to) bubble.append(quoteNode(message.reply_to));
  const body = message.text ? element("div", { class: "body" }) : null;
  if (body) formatted(body, message.text, message.entities);
  if (body && message.above) bubble.append(body);
  if (message.photo) bubble.append(photoNode(message));
  if (message.document) bubble.append(documentNode(message.document));
  if (message.poll) bubble.append(pollNode(message));
  if (body && !message.above) bubble.append(body);
  bubble.append(metaNode(message));
  const kind = `message${message.mine ? " mine" : ""}${message.photo ? " with-photo" : ""}`;
  const node = element("div", { class: kind, "data-message-id": message.id, "data-version": versionOf(message) }, bubble);
  if (message.rows.length) {
    const rows = message.rows.map((row, y) =>
      element("div", { class: "keys" }, ...row.map((button, x) => buttonNode(message, button, `${y}-${x}`))));
    node.append(element("div", { class: "buttons" }, ...rows));
  }
  node.addEventListener("contextmenu", (event) => {
    if (event.target.closest("a, button, input") || String(getSelection())) return;
    event.preventDefault();
    openMenu(message, node.querySelector(".more"), event);
  });
  return node;
}

const versionOf = (message) => `${message.version}${message.mine && message.taken ? "t" : ""}`;

function quoteNode(replied) {
  const jump = () => {
    const target = document.querySelector(`[data-message-id="${replied.id}"]`);
    target?.scrollIntoView({ block: "center" });
    target?.classList.add("found");
    setTimeout(() => target?.classList.remove("found"), 1200);
  };
  return element("button", { type: "button", class: "quote", onclick: jump }, replied.text || words.photo);
}

function photoNode(message) {
  const { width, height, file_id } = message.photo;
  const title = message.text.split("\n")[0];
  const image = element("img", { src: fileAddress(file_id), width, height, alt: title || words.photo, "data-file-id": file_id });
  return element("button", { type: "button", class: "photo", "aria-label": `${words.photoOf}: ${title}`,
    onclick: () => openPhoto(file_id, title) }, image);
}

function metaNode(message) {
  const time = new Date(message.date * 1000);
  const shown = time.toLocaleTimeString(document.documentElement.lang, { hour: "numeric", minute: "2-digit" });
  const ticks = message.mine
    ? element("span", { class: `ticks${message.taken ? " taken" : ""}`, role: "img", "aria-label": message.taken ? words.taken : words.sent },
      icon(message.taken ? "ticks" : "tick"))
    : null;
  const more = element("button", { type: "button", class: "more", "aria-haspopup": "menu", "aria-label": words.actions,
    onclick: (event) => openMenu(message, event.currentTarget) }, icon("more"));
  return element("div", { class: "meta" }, more,
    message.edited ? element("span", { class: "edited" }, words.edited) : null,
    element("time", { datetime: time.toISOString() }, shown), ticks);
}

// A button's kind is an icon in its corner, as in the apps.
function buttonNode(message, button, at) {
  const address = button.url === undefined ? null : safeAddress(button.url);
  const corner = button.url !== undefined ? ["out", words.opens]
    : button.inline !== undefined ? ["inline", words.inlineHint] : button.copy !== undefined ? ["copy", words.copies] : null;
  const inside = corner ? [button.text, icon(corner[0], "corner")] : [button.text];
  if (address && startPayload(address) === null) {
    return element("a", { href: address, target: "_blank", rel: "noopener noreferrer", "data-at": at, title: corner[1] }, ...inside);
  }
  const node = element("button", { type: "button", "data-at": at, "data-callback": button.data, title: corner?.[1] }, ...inside);
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
      copyText(button.copy);
    }
  });
  return node;
}

async function copyText(text) {
  await navigator.clipboard?.writeText(text).catch(() => {});
  toast(words.copied);
}

// A poll is a form before the vote, bars after it.
function pollNode(message) {
  const poll = message.poll;
  const done = poll.chosen.length > 0 || poll.is_closed;
  const kind = poll.is_closed ? words.closedPoll : poll.is_anonymous ? words.anonymousPoll : words.publicPoll;
  const total = poll.total_voter_count;
  const options = poll.options.map((option, number) => (done
    ? resultNode(option, total, poll.chosen.includes(number), poll.photos[number])
    : choiceNode(message, option, number, poll.photos[number])));
  const several = poll.allows_multiple_answers && !done;
  const send = several
    ? element("button", { type: "button", class: "vote", onclick: () => act("vote", { message: message.id, options: checked(message) }) }, words.vote)
    : null;
  return element("div", { class: "poll", role: "group", "aria-label": poll.question },
    element("strong", {}, poll.question), element("small", {}, kind), ...options, send,
    element("small", { class: "total" }, total ? words.votes(total) : words.noVotes));
}

function choiceNode(message, option, number, photo) {
  const picture = photo ? element("img", { src: fileAddress(photo), alt: "" }) : null;
  if (!message.poll.allows_multiple_answers) {
    return element("button", { type: "button", class: "choice", "data-option": number,
      onclick: () => act("vote", { message: message.id, options: [number] }) }, picture, element("span", {}, option.text));
  }
  const key = `${message.id}:${number}`;
  const tick = (event) => ticked[event.currentTarget.checked ? "add" : "delete"](key);
  return element("label", { class: "choice" },
    element("input", { type: "checkbox", "data-option": number, name: `poll-${message.id}`, checked: ticked.has(key), onchange: tick }), picture, element("span", {}, option.text));
}

const ticked = new Set(); // what is ticked, kept while others vote and the message is drawn anew

const checked = (message) =>
  [...document.querySelectorAll(`input[name="poll-${message.id}"]:checked`)].map((one) => Number(one.dataset.option));

function resultNode(option, total, mine, photo) {
  const percent = total ? Math.round((100 * option.voter_count) / total) : 0;
  const bar = element("span", { class: "bar" });
  bar.style.width = `${percent}%`;
  return element("div", { class: `result-of${mine ? " chosen" : ""}` },
    photo ? element("img", { src: fileAddress(photo), alt: "" }) : null,
    element("b", {}, `${percent}%`), element("span", {}, `${option.text}${mine ? " ✓" : ""}`), bar);
}

function documentNode(file) {
  const size = file.size < 1024 ? `${file.size} ${words.bytes}` : `${(file.size / 1024).toFixed(1)} K${words.bytes}`;
  return element("a", { class: "document", href: fileAddress(file.file_id), download: file.name }, icon("file"),
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
    const node = element("span", { class: "spoiler", tabindex: "0", role: "button", "aria-label": "…" });
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

