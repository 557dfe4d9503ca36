-- What a tenant's settings say about rendering, which controllers pass on. The other settings are none of their business.

GRANT SELECT (tenant_id, object, key, value) ON naru.config TO naru_controller;
CREATE POLICY rendering ON naru.config AS RESTRICTIVE FOR SELECT TO naru_controller USING (
    object = 'argocd-cm'
    AND key IN ('kustomize.buildOptions', 'kustomize.enable', 'helm.enable', 'helm.valuesFileSchemes')
);
