{kind: "X", a: error "stop here"}
