-- What controllers go by besides: the kinds that a tenant leaves out, and how long its syncs may take.

DROP POLICY controllers ON naru.config;
CREATE POLICY controllers ON naru.config AS RESTRICTIVE FOR SELECT TO naru_controller USING (
    object = 'argocd-cm'
    AND (
        key IN (
            'kustomize.buildOptions', 'kustomize.enable', 'helm.enable', 'helm.valuesFileSchemes',
            'resource.exclusions', 'resource.inclusions', 'resource.sensitive.mask.annotations', 'naru.syncTimeout'
        )
        OR key = 'resource.customizations'
        OR starts_with(key, 'resource.customizations.')
    )
);
