-- What a tenant's settings say about rendering, which controllers pass on. What is sealed is none of their business.

GRANT SELECT (tenant_id, object, key, value) ON naru.config TO naru_controller;
