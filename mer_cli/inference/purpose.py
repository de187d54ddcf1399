"""What a classifier of micro-expressions is for and what it is not for: in the help, the model card and the page."""

PURPOSE = (
    "For research. Inferring people's emotions at work or in education is prohibited in the European Union (AI Act, "
    "article 5(1)(f), since February 2025), and a micro-expression is not proof of a lie. Faces stay on this machine."
)
