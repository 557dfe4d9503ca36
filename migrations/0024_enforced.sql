-- What controllers go by besides: whether nothing is done where a project names no account.

DROP POLICY controllers ON naru.config;
CREATE POLICY controllers ON naru.config AS RESTRICTIVE FOR SELECT TO naru_controller USING (
    object = 'argocd-cm'
    AND (
        key IN (
            'kustomize.buildOptions', 'kustomize.enable', 'helm.enable', 'helm.valuesFileSchemes',
            'resource.exclusions', 'resource.inclusions', 'resource.sensitive.mask.annotations', 'naru.syncTimeout',
            'application.resourceTrackingMethod', 'application.instanceLabelKey',
            'application.sync.impersonation.enabled', 'application.sync.impersonation.enforced'
        )
        OR key = 'resource.customizations'
        OR starts_with(key, 'resource.customizations.')
    )
);
