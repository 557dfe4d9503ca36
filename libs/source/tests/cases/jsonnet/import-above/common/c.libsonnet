{apiVersion: "v1", kind: "ConfigMap", metadata: {name: "c"}, data: {a: "b"}}
