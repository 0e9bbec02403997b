"""Hold the sentence frames of the synthetic posts: none is used by more than one split.

The splits share the words for things, places, people and times that fill the frames, and the tags
after them, for those tell nothing; what a frame feels is said in words, turns and abbreviations of
its own.
"""

from random import Random
from string import Formatter

FILLERS = {
    "thing": "the new bike|my old phone|the school play|our kitchen|the garden shed|this jacket|"
    "the group project|the morning train|a second-hand sofa|the office printer|our tent|"
    "the lunch menu|the guitar|my laptop|the choir|this playlist|the front door|our team",
    "place": "the station|the market|the library|the harbour|the gym|the corner shop|the lake|"
    "the campsite|the museum|downtown|the office|grandma's place|the stadium|the bakery",
    "who": "my sister|my brother|our neighbour|the coach|my boss|my roommate|the driver|"
    "aunt Rosa|Sam|the whole class|our teacher|Mia and Tom|the band|the landlord",
    "when": "this morning|on monday|last night|today|after work|over the weekend|at noon|"
    "this week|before breakfast|on day three|around six|tonight",
    "tag": "#monday|#weekend|#photo|#city|#latergram|#2019|#diary|#home|#picoftheday|#life|#work|"
    "#school|#travel|#family|#daily|#street|#update|#now",
}
# fmt: off
FRAMES = {
    "train": {
        "positive": (
            "So happy with {thing}, {who} did an amazing job {when}!",
            "Best day ever at {place} {when}, i am in love with life",
            "{who} surprised me {when} and i can't stop smiling #blessed",
            "omg {thing} turned out beautiful, so proud of {who}",
            "What a wonderful time at {place} with {who}!! #goodvibes",
            "We won!! {who} and i are celebrating at {place} {when}",
            "Feeling grateful for {who} {when}, you made everything better",
            "{thing} works like a dream, totally worth the wait",
            "Great news {when}: i got the job at {place}! #dreamscometrue",
            "I love {thing} so much, thank you {who} <3",
            "laughing so hard with {who} at {place}, perfect evening",
            "Nothing beats {place} {when}, pure joy",
            "Delicious food and lovely people at {place} {when}, yay",
            "{who} is the kindest person, thanks for fixing {thing} {when}",
            "Finally! {thing} is fantastic and i am thrilled #win",
            "Couldn't be happier {when}, {who} said yes!",
            "Cheers to {who}, you rock, congrats on {thing}",
            "Not bad at all, actually awesome: {thing} {when}",
        ),
        "neutral": (
            "{who} is at {place} {when}.",
            "We moved {thing} to {place} {when}",
            "Meeting {who} at {place} {when}, agenda attached",
            "{place} opens at nine {when}, closes at five",
            "fyi {thing} is now at {place}",
            "Does anyone know when {who} gets to {place}?",
            "Picture of {place}, taken {when}",
            "{when} i walked from {place} to the bus stop",
            "Looking for {thing}, size medium, pick up at {place}",
            "{who} has the list for {thing}",
            "Part two of {thing} will be posted {when}",
            "New opening hours for {place}, see link",
            "Changed the settings of {thing} {when}",
            "reminder: {who} and {thing}, {when}",
            "The road to {place} has two lanes",
            "{thing} comes in grey and in blue",
            "There are four chairs at {place} {when}",
            "Sent {thing} to {who} {when}, should arrive in a few days",
        ),
        "negative": (
            "So sad {when}, {who} left and i can't stop crying",
            "Worst day ever at {place}, everything went wrong",
            "{thing} broke again {when}, i am so angry smh",
            "I hate {place}, never going back #fail",
            "ugh {who} ruined {thing} {when}, totally disappointed",
            "Heartbroken about {thing}, i miss the old days",
            "Got robbed at {place} {when}, feeling awful",
            "{who} lied to me {when} and it hurts so much",
            "terrible service at {place}, rude people and cold food",
            "We lost badly {when}, {who} is devastated",
            "I failed the exam {when}, what a miserable week",
            "Sick and lonely at home {when}, nobody calls #depressed",
            "{thing} is a complete waste of money, avoid",
            "Can't believe {who} got fired {when}, this is so unfair",
            "Bad news from {place} {when}, we are all in tears",
            "Stuck at {place} for five hours, horrible, thanks for nothing",
            "Nothing about {thing} is good, what a mess",
            "scared and exhausted {when}, {who} is in hospital",
        ),
    },
    "validation": {
        "positive": (
            "{who} gave me the sweetest present {when}, feeling so loved",
            "yesss {thing} is brilliant, highly recommend",
            "Such a fun afternoon at {place}, huge smiles all around",
            "Over the moon {when}: {who} passed!",
            "{place} looks gorgeous {when}, enjoying every minute",
            "Thank you {who} for {thing}, you are a star #happy",
            "My heart is full {when}, superb concert at {place}",
            "Excited about {thing}!!! going to be great",
        ),
        "neutral": (
            "{thing} was delivered to {place} {when}",
            "{who} takes the 8:15 to {place}",
            "Notes on {thing}, page three, written {when}",
            "Which way is {place} from here?",
            "{when}: inventory of {thing}",
            "{who} will bring {thing} to {place}",
            "A photo of {thing} next to {place}",
            "The form for {place} is two pages long, due {when}",
        ),
        "negative": (
            "{who} forgot my birthday {when}, feeling worthless",
            "gross, {place} was filthy and i felt ill",
            "{thing} got stolen {when} and i am furious",
            "Such a depressing afternoon at {place}, tears all the way home",
            "Regret buying {thing}, it is useless junk",
            "Mourning {when}, rest in peace, {who} will miss you",
            "My flight was cancelled {when}, nightmare at {place}",
            "Afraid of losing {thing}, everything is falling apart",
        ),
    },
    "test": {
        "positive": (
            "Absolutely delighted, {thing} exceeded all my hopes",
            "{who} baked for us {when}, yummy and so thoughtful",
            "dancing all night at {place}, what a blast!!",
            "Hooray, {who} is home safe {when}, such a relief and joy",
            "This view from {place} {when}, breathtaking, lucky me",
            "Big hug to {who}, {thing} looks stunning #thankful",
            "lol best laugh in ages with {who} {when}",
            "Can't wait to show you {thing}, it's gonna be epic",
            "Sunshine, music and {who} at {place}: paradise",
            "Proud moment {when}: first prize for {thing}!",
            "I adore {place}, friendly folks and excellent coffee",
            "never had a better weekend, ty {who} for {place} xoxo",
        ),
        "neutral": (
            "{who} parked near {place} {when}",
            "Here is how {thing} looks from the side",
            "Update {when}: {thing} is on the table",
            "Bus 12 stops at {place}, then at the town hall",
            "{who} asked for the address of {place}",
            "Measured {thing} {when}, 80 by 40 cm",
            "tbh no opinion on {thing}, just passing it on to {who}",
            "The map shows {place} on the left",
            "Registration for {place} starts {when}",
            "{thing}, {place}, {when}. That's the plan",
            "Swapped shifts with {who} {when}",
            "Is {thing} still available? asking for {who}",
        ),
        "negative": (
            "Devastating loss {when}, {who} is gone and i feel empty",
            "{thing} caught fire {when}, everything is destroyed",
            "wtf {place}, dirty tables and the staff insulted us",
            "Crying in {place} {when}, i give up",
            "So fed up with {who}, lies and more lies #toxic",
            "my back hurts, my head hurts, hate {when}",
            "{who} crashed {thing} {when}, total disaster",
            "Disgusted by {place}, i want my money back",
            "Another rejection {when}, feeling hopeless rn",
            "It is painful to see {thing} rot like that, shame on {who}",
            "Grieving with {who} {when}, life is cruel",
            "Not a single thing went right at {place}, pathetic",
        ),
    },
}


def write_text(random: Random, split: str, mood: str) -> str:
    """Write a short text in one of the frames of a split.

    Args:
        random: Where all choices come from.
        split: "train", "validation" or "test".
        mood: "negative", "neutral" or "positive".

    Returns:
        One line of text, sometimes in small letters, sometimes with tags that tell nothing.
    """
    frame = random.choice(FRAMES[split][mood])
    names = [name for _, name, _, _ in Formatter().parse(frame) if name]
    text = frame.format(**{name: random.choice(FILLERS[name].split("|")) for name in names})
    text = text.lower() if random.random() < 0.4 else text[0].upper() + text[1:]
    return " ".join([text, *random.sample(FILLERS["tag"].split("|"), random.randint(0, 3))])
