{cm(name, text):: {apiVersion: "v1", kind: "ConfigMap", metadata: {name: name}, data: {a: text}}
}