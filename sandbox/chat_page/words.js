// The page's words in both languages.
"use strict";

function plural(n, one, few, many) {
  if (n % 10 === 1 && n % 100 !== 11) return one;
  return n % 10 >= 2 && n % 10 <= 4 && (n % 100 < 12 || n % 100 > 14) ? few : many;
}

const WORDS = {
  ru: {
    panel: "Панель песочницы", tabs: "Что показать", chat: "Чат", channel: "Закрытый канал", person: "Кто пишет",
    language: "Язык", addPerson: "Новый человек", newPerson: "Имя", add: "Добавить", cancel: "Отмена",
    block: "Заблокировать бота", unblock: "РАЗБЛОКИРОВАТЬ", lastAction: "После последнего действия",
    calls: "Вызовы Bot API", messages: "Сообщения", commands: "Команды", results: "Найдено", menu: "Меню",
    start: "НАЧАТЬ", attach: "Прикрепить файл", composer: "Сообщение", send: "Отправить", reply: "Ответить",
    forward: "Переслать", edited: "изменено", via: "через", forwarded: "Переслано от", bot: "бот",
    asleep: "бот не запущен: сообщения никто не читает", offline: "песочница не отвечает", photo: "Фотография",
    channelNote: "Сюда бот один раз отправляет каждый постер; дальше он показывает его по file_id.",
    empty: "Пока пусто.", tmdb: "запросов к TMDb", nothing: "вызовов нет", more: "Ещё", noResults: "Ничего не найдено",
    noAnswer: "Бот не ответил", searching: "Ищу…", copied: "Скопировано", bytes: "Б",
    sandboxNote: "Это песочница: Telegram и TMDb на этой машине, без сети. Всё хранится в data/sandbox.",
    empty_all: "Начать заново", emptyQuestion: "Стереть переписку, постеры, оценки и связи с TMDb в песочнице?",
    erase: "Стереть", examples: "Попробуйте", titles: ["Дюна", "матрца", "Нолан", "Чернобыль"], today: "Сегодня", yesterday: "Вчера", actions: "Действия с сообщением",
    copy: "Копировать текст", retract: "Отозвать голос", vote: "Проголосовать", close: "Закрыть", photoOf: "Открыть фото",
    sent: "Отправлено", taken: "Прочитано", opens: "откроется в новой вкладке", inlineHint: "напишет боту в строке ввода",
    copies: "скопирует", anonymousPoll: "Анонимный опрос", publicPoll: "Опрос", closedPoll: "Опрос завершён",
    votes: (n) => `${n} ${plural(n, "голос", "голоса", "голосов")}`, noVotes: "Голосов нет",
    members: (n) => `${n} ${plural(n, "участник", "участника", "участников")}`, inGroup: "Группы",
    service: { forum_topic_created: "Создана тема" }, unknownService: "Служебное сообщение", joined: "Бот добавлен",
    doing: { typing: "печатает…", upload_photo: "отправляет фото…", upload_document: "отправляет файл…" },
  },
  en: {
    panel: "Sandbox panel", tabs: "What to show", chat: "Chat", channel: "Private channel", person: "Write as",
    language: "Language", addPerson: "New person", newPerson: "Name", add: "Add", cancel: "Cancel",
    block: "Block the bot", unblock: "UNBLOCK", lastAction: "Since the last action",
    calls: "Bot API calls", messages: "Messages", commands: "Commands", results: "Results", menu: "Menu",
    start: "START", attach: "Attach a file", composer: "Message", send: "Send", reply: "Reply",
    forward: "Forward", edited: "edited", via: "via", forwarded: "Forwarded from", bot: "bot",
    asleep: "the bot is not running: nothing reads its messages", offline: "the sandbox is not answering", photo: "Photo",
    channelNote: "Each poster is sent here once; from then on the bot shows it by file_id.",
    empty: "Nothing yet.", tmdb: "requests to TMDb", nothing: "no calls", more: "More", noResults: "Nothing found",
    noAnswer: "The bot did not answer", searching: "Searching…", copied: "Copied", bytes: "B",
    sandboxNote: "This is a sandbox: Telegram and TMDb on this machine, no network. Everything is kept in data/sandbox.",
    empty_all: "Start over", emptyQuestion: "Erase the sandbox's chats, posters, ratings and links with TMDb?",
    erase: "Erase", examples: "Try these", titles: ["Dune", "matrx", "Nolan", "Chernobyl"], today: "Today", yesterday: "Yesterday", actions: "Message actions",
    copy: "Copy text", retract: "Retract vote", vote: "Vote", close: "Close", photoOf: "Open photo",
    sent: "Sent", taken: "Read", opens: "opens in a new tab", inlineHint: "starts an inline search",
    copies: "copies", anonymousPoll: "Anonymous poll", publicPoll: "Poll", closedPoll: "Final results",
    votes: (n) => `${n} ${n === 1 ? "vote" : "votes"}`, noVotes: "No votes",
    members: (n) => `${n} ${n === 1 ? "member" : "members"}`, inGroup: "Groups",
    service: { forum_topic_created: "Topic created" }, unknownService: "Service message", joined: "Bot added",
    doing: { typing: "is typing…", upload_photo: "is sending a photo…", upload_document: "is sending a file…" },
  },
};
