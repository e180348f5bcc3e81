"""Words that the offline writer treats in their own way."""

from __future__ import annotations


def word_set(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


# They point to what was said elsewhere.
VAGUE = word_set(
    "this that these those such it its they them their he him his she her we us our i my",
    "here there both another other others former latter same following above below",
    "previous preceding next what who which whose itself themselves one ones thus so then",
    "etc",
)

# Verbs that a manual uses with an object; the tagger takes many of their forms for nouns.
TECHNICAL_VERBS = word_set(
    "accept access add adjust affect allow append apply assign attempt back build cache",
    "calculate call cause change check choose clear close collect combine compare compile",
    "compute configure connect contain control convert copy cover create declare define",
    "delete describe detect determine disable display download drop edit enable ensure",
    "evaluate exclude execute expand export extend extract fetch filter find force format",
    "generate group handle hold identify ignore implement import include increase",
    "indicate initialize insert inspect install invoke issue join keep limit link list",
    "load lock log maintain make manage map mark match measure merge modify monitor mount",
    "move name need offer open output override parse perform plot post prevent print",
    "process produce protect provide publish push query read rebuild receive record",
    "recover reduce refer remove rename repeat replace report represent request require",
    "reset resolve restart restore restrict retrieve return reverse rewrite run sample",
    "save scan search select send separate serve set show sign sort specify split start",
    "stop store submit supply support suppress switch take test track transfer transform",
    "trigger turn update upgrade upload use validate verify view wait work wrap write",
    "accomplish activate align allocate analyse analyze attach authenticate authorize",
    "automate bundle carry compress conduct consume contribute decide decrypt delay deny",
    "destroy detach differentiate discard discover discuss distribute draw emit employ",
    "encode encrypt enforce establish estimate exceed exchange expect explain expose",
    "facilitate favor feed fill finish free gather give govern grant guarantee halt help",
    "hide highlight host illustrate imply inherit initiate integrate interpret introduce",
    "involve launch lead let license locate look lower mention migrate minimize miss mix",
    "multiply obtain occupy optimize organize outline own pack pass permit place play",
    "point preserve promote propose prove purge put quote raise reach recognise recognize",
    "recommend redirect reference regard register reject release rely render reorder",
    "repair reserve resize reveal revoke rotate scale schedule secure see shift ship",
    "shorten simplify skip solve sponsor suggest summarize suppose suspend tell throw",
    "toggle treat understand undo unlock warn yield",
)

# "What does X have?" asks nothing; "What does X allow?" lacks its complement.
WEAK_VERBS = word_set(
    "have do be make let get give take go come become seem appear remain work help try",
    "tend want allow enable cause force prevent exist happen depend refer look mean say",
    "keep turn start begin continue need lead serve act differ vary consist belong occur",
    "result fail end stay see note assume imply suggest ensure permit follow know think",
    "feel apply run live stand sit",
)

# Nouns that name nothing without a word beside them.
GENERIC = word_set(
    "thing way case example kind type sort number list value name set option command",
    "function file system user users program programs package packages tool result",
    "results output input section chapter document page manual guide reader author",
    "argument arguments parameter parameters variable default part parts step steps",
    "process information data point problem problems question answer method item items",
    "element elements object objects table text line lines code change changes version",
    "versions time day year people person someone everyone reason purpose idea fact goal",
    "aim difference advantage disadvantage note word words term first second third last",
    "rest only main most best new good important possible available many several some any",
    "all various certain different special general common useful operation operations",
    "feature features field fields form behavior behaviour effect need use directory",
    "script message error entry entries group column row figure study patients methods",
    "conclusion objective aims company quarter period software machine computer current",
    "given specified particular single simple whole entire usual normal actual",
    "appropriate necessary required corresponding valid values typical criteria",
    "restriction likely outcome situation cases examples things ways kinds types names",
    "numbers lists options settings remaining",
    "character configuration mechanism secondary primary issue",
    "optional return returned returns scalar property properties handle handles pair",
    "pairs property/value vector vectors matrix array arrays additional inputs outputs",
    "flag commands functions scripts messages errors groups columns rows figures",
)

# "X is a good idea" defines nothing.
NOT_DEFINING = word_set(
    "way idea problem reason case good bad matter fact example bit lot number result",
    "first last only same best better most few place time mistake choice point thing",
    "issue question one part subject default exception important possible common useful",
    "simple easy difficult",
)

STOP_WORDS = word_set(
    "a an the of in on at to for from by with and or but not no is are was were be been",
    "being has have had do does did can could may might must shall should will would if",
    "when unless until while as than then that which who whom whose what where why how",
    "many much long soon you your it its they them their this these those there here all",
    "any some each every more most other such only own same so too very just also about",
    "into over after before between out up down under again happen happens used use using",
)

KINDS_OF_THING = word_set(
    "command option parameter function file variable tool program utility package module",
    "setting directive method view statement clause operator type extension keyword",
    "attribute script macro library catalog directory flag key class field property",
    "header section subcommand daemon process server driver service port format protocol",
    "algorithm button menu mode environment policy team group",
)

DETERMINERS = word_set(
    "the a an some all any most many each every several both few no",
)

# A subject with one of these is a statement about how many, and asks little:
# "Some files are large."
QUANTIFIERS = word_set(
    "some any most many several both few no none neither little much enough chances",
)

# "What does the terminal support?" narrows nothing down by its verb.
BLAND_VERBS = word_set(
    "add contain cover give have include offer provide return show support use define",
)
