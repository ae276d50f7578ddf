"""Genres and countries in the reader's language; TMDb's list rows and our table hold only ids and codes."""

from collections.abc import Iterable

from django.utils.translation import get_language

# TMDb: GET /genre/movie/list, in the words that a card uses
GENRES = {
    28: ("боевик", "action"),
    12: ("приключения", "adventure"),
    16: ("мультфильм", "animation"),
    35: ("комедия", "comedy"),
    80: ("криминал", "crime"),
    99: ("документальный", "documentary"),
    18: ("драма", "drama"),
    10751: ("семейный", "family"),
    14: ("фэнтези", "fantasy"),
    36: ("история", "history"),
    27: ("ужасы", "horror"),
    10402: ("музыка", "music"),
    9648: ("детектив", "mystery"),
    10749: ("мелодрама", "romance"),
    878: ("фантастика", "science fiction"),
    10770: ("телефильм", "TV movie"),
    53: ("триллер", "thriller"),
    10752: ("военный", "war"),
    37: ("вестерн", "western"),
}
# ISO 3166-1 and TMDb's codes of countries that are no more; a country that is missing here is left out of a card
COUNTRIES = {
    code: (russian, english)
    for code, russian, english in (
        line.split("|")
        for line in """\
AE|ОАЭ|UAE
AM|Армения|Armenia
AR|Аргентина|Argentina
AT|Австрия|Austria
AU|Австралия|Australia
AZ|Азербайджан|Azerbaijan
BA|Босния и Герцеговина|Bosnia and Herzegovina
BE|Бельгия|Belgium
BG|Болгария|Bulgaria
BO|Боливия|Bolivia
BR|Бразилия|Brazil
BY|Беларусь|Belarus
CA|Канада|Canada
CH|Швейцария|Switzerland
CL|Чили|Chile
CN|Китай|China
CO|Колумбия|Colombia
CU|Куба|Cuba
CY|Кипр|Cyprus
CZ|Чехия|Czechia
DE|Германия|Germany
DK|Дания|Denmark
DO|Доминиканская Республика|Dominican Republic
DZ|Алжир|Algeria
EC|Эквадор|Ecuador
EE|Эстония|Estonia
EG|Египет|Egypt
ES|Испания|Spain
FI|Финляндия|Finland
FR|Франция|France
GB|Великобритания|UK
GE|Грузия|Georgia
GR|Греция|Greece
HK|Гонконг|Hong Kong
HR|Хорватия|Croatia
HU|Венгрия|Hungary
ID|Индонезия|Indonesia
IE|Ирландия|Ireland
IL|Израиль|Israel
IN|Индия|India
IQ|Ирак|Iraq
IR|Иран|Iran
IS|Исландия|Iceland
IT|Италия|Italy
JO|Иордания|Jordan
JP|Япония|Japan
KE|Кения|Kenya
KG|Киргизия|Kyrgyzstan
KH|Камбоджа|Cambodia
KP|Северная Корея|North Korea
KR|Южная Корея|South Korea
KZ|Казахстан|Kazakhstan
LB|Ливан|Lebanon
LT|Литва|Lithuania
LU|Люксембург|Luxembourg
LV|Латвия|Latvia
MA|Марокко|Morocco
MD|Молдавия|Moldova
ME|Черногория|Montenegro
MK|Северная Македония|North Macedonia
MN|Монголия|Mongolia
MT|Мальта|Malta
MX|Мексика|Mexico
MY|Малайзия|Malaysia
NG|Нигерия|Nigeria
NL|Нидерланды|Netherlands
NO|Норвегия|Norway
NZ|Новая Зеландия|New Zealand
PE|Перу|Peru
PH|Филиппины|Philippines
PK|Пакистан|Pakistan
PL|Польша|Poland
PR|Пуэрто-Рико|Puerto Rico
PS|Палестина|Palestine
PT|Португалия|Portugal
QA|Катар|Qatar
RO|Румыния|Romania
RS|Сербия|Serbia
RU|Россия|Russia
SA|Саудовская Аравия|Saudi Arabia
SE|Швеция|Sweden
SG|Сингапур|Singapore
SI|Словения|Slovenia
SK|Словакия|Slovakia
SN|Сенегал|Senegal
SU|СССР|USSR
SY|Сирия|Syria
TH|Таиланд|Thailand
TJ|Таджикистан|Tajikistan
TN|Тунис|Tunisia
TR|Турция|Türkiye
TW|Тайвань|Taiwan
UA|Украина|Ukraine
US|США|USA
UY|Уругвай|Uruguay
UZ|Узбекистан|Uzbekistan
VE|Венесуэла|Venezuela
VN|Вьетнам|Vietnam
XC|Чехословакия|Czechoslovakia
XG|ГДР|East Germany
YU|Югославия|Yugoslavia
ZA|ЮАР|South Africa""".splitlines()
    )
}


def genre_names(ids: Iterable[int]) -> list[str]:
    return [GENRES[id][_column()] for id in ids if id in GENRES]


def country_names(codes: Iterable[str]) -> list[str]:
    return [COUNTRIES[code][_column()] for code in codes if code in COUNTRIES]


def _column() -> int:
    return 0 if get_language() == "ru" else 1
