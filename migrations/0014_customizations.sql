-- What a tenant's settings say about kinds of objects, which controllers compare and assess by. Besides that only what they
-- say about rendering: the other settings are none of the controllers' business.

DROP POLICY rendering ON naru.config;
CREATE POLICY controllers ON naru.config AS RESTRICTIVE FOR SELECT TO naru_controller USING (
    object = 'argocd-cm'
    AND (
        key IN ('kustomize.buildOptions', 'kustomize.enable', 'helm.enable', 'helm.valuesFileSchemes')
        OR key = 'resource.customizations'
        OR starts_with(key, 'resource.customizations.')
    )
);
