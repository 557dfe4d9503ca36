function(name, list=[]) {apiVersion: "v1", kind: "ConfigMap", metadata: {name: name}, data: {a: std.manifestJsonEx(list, " ")}}
