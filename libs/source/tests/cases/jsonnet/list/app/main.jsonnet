[{apiVersion: "v1", kind: "ConfigMap", metadata: {name: "n" + i}} for i in std.range(1, 4)]
