{kind: "X",, }
