{apiVersion: "v1", kind: "ConfigMap", metadata: {name: std.extVar("name")}, data: {a: std.toString(std.extVar("count") * 2)}}
