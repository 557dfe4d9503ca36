local k = import "k.libsonnet"; local near = import "near.libsonnet"; k.cm(near.name, importstr "text.txt")
