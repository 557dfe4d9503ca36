{apiVersion: "v1", kind: "ConfigMap", metadata: {name: "one"}, data: {a: std.toString(1 + 2)}}
