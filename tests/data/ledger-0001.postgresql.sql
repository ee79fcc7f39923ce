CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.api_keys (
    id character varying NOT NULL,
    name character varying NOT NULL,
    sha256 character varying NOT NULL,
    scopes text NOT NULL,
    rate_per_minute integer,
    created_at double precision NOT NULL,
    expires_at double precision,
    revoked_at double precision
);
CREATE TABLE public.blob_owners (
    sha256 character varying NOT NULL,
    key_id character varying NOT NULL,
    at double precision NOT NULL
);
CREATE TABLE public.blob_refs (
    sha256 character varying NOT NULL,
    task_id character varying NOT NULL
);
CREATE TABLE public.events (
    task_id character varying NOT NULL,
    seq integer NOT NULL,
    at double precision NOT NULL,
    body text NOT NULL
);
CREATE TABLE public.idempotency (
    key_id character varying NOT NULL,
    operation character varying NOT NULL,
    key character varying NOT NULL,
    digest character varying NOT NULL,
    task_id character varying NOT NULL,
    created_at double precision NOT NULL
);
CREATE TABLE public.outbox (
    id character varying NOT NULL,
    task_id character varying NOT NULL,
    seq integer NOT NULL,
    target text NOT NULL,
    type character varying NOT NULL,
    payload text NOT NULL,
    state character varying NOT NULL,
    attempts integer NOT NULL,
    due_at double precision NOT NULL,
    created_at double precision NOT NULL,
    delivered_at double precision,
    error text
);
CREATE TABLE public.steps (
    task_id character varying NOT NULL,
    step character varying NOT NULL,
    attempt integer NOT NULL,
    ordinal integer NOT NULL,
    agent character varying NOT NULL,
    skill character varying NOT NULL,
    effects character varying NOT NULL,
    state character varying NOT NULL,
    priority integer NOT NULL,
    deadline_s double precision NOT NULL,
    task_deadline_at double precision NOT NULL,
    deadline_at double precision,
    created_at double precision NOT NULL,
    not_before double precision NOT NULL,
    fence integer NOT NULL,
    grants integer NOT NULL,
    runner character varying,
    node character varying,
    lease_until double precision,
    ring_at double precision NOT NULL,
    ring_delay_s double precision NOT NULL,
    input text NOT NULL,
    output text,
    artifacts text,
    problem text,
    duration_s double precision
);
CREATE TABLE public.tasks (
    id character varying NOT NULL,
    key_id character varying NOT NULL,
    operation character varying NOT NULL,
    context_id character varying NOT NULL,
    state character varying NOT NULL,
    request text NOT NULL,
    priority integer NOT NULL,
    data_class character varying NOT NULL,
    hops integer NOT NULL,
    deadline_s double precision NOT NULL,
    created_at double precision NOT NULL,
    updated_at double precision NOT NULL,
    deadline_at double precision NOT NULL,
    paused_at double precision,
    trace_id character varying NOT NULL,
    callback_url text,
    replay_of character varying,
    question text,
    answer text,
    problem text,
    plan text,
    planner character varying NOT NULL,
    notes text NOT NULL,
    last_seq integer NOT NULL,
    think character varying,
    think_fence integer NOT NULL,
    think_holder character varying,
    think_until double precision,
    thought_count integer NOT NULL
);
CREATE TABLE public.thoughts (
    task_id character varying NOT NULL,
    name character varying NOT NULL,
    value text NOT NULL,
    at double precision NOT NULL
);
INSERT INTO public.alembic_version VALUES ('0001');
INSERT INTO public.api_keys VALUES ('key_01m7zaaevpfrdrx3rasyp6hjbt', 'dumped', '33bfc06aaa2105984449336e229e5bcabec49a0a019cd21b0ed2f9168ec260ab', '["tasks:read","tasks:write"]', NULL, 1795273603.959487, NULL, NULL);
INSERT INTO public.blob_owners VALUES ('154f4a4151173473b08a658b1f1ff576ea4b397d7074553d454ef4c9498c0621', 'key_01m7zaaevpfrdrx3rasyp6hjbt', 1795273603.965093);
INSERT INTO public.blob_refs VALUES ('154f4a4151173473b08a658b1f1ff576ea4b397d7074553d454ef4c9498c0621', 'task_01m7zaaew1rwrbgmt7c79g1839');
INSERT INTO public.events VALUES ('task_01m7zaaew1rwrbgmt7c79g1839', 1, 1795273603.969701, '{"kind":"state","state":"submitted","message":""}');
INSERT INTO public.events VALUES ('task_01m7zaaew1rwrbgmt7c79g1839', 2, 1795273603.969701, '{"kind":"stage","stage":"plan","output":{"steps":[{"name":"a","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""},{"name":"b","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""}]}}');
INSERT INTO public.events VALUES ('task_01m7zaaew1rwrbgmt7c79g1839', 3, 1795273603.969701, '{"kind":"step","step":"a","attempt":1,"state":"ready","agent":"echo","skill":"echo.say","node":null,"fence":0,"duration_s":null,"problem":null}');
INSERT INTO public.events VALUES ('task_01m7zaaew1rwrbgmt7c79g1839', 4, 1795273603.969701, '{"kind":"step","step":"b","attempt":1,"state":"ready","agent":"echo","skill":"echo.say","node":null,"fence":0,"duration_s":null,"problem":null}');
INSERT INTO public.events VALUES ('task_01m7zaaew1rwrbgmt7c79g1839', 5, 1795273603.9792566, '{"kind":"state","state":"working","message":""}');
INSERT INTO public.events VALUES ('task_01m7zaaew1rwrbgmt7c79g1839', 6, 1795273603.9792566, '{"kind":"step","step":"a","attempt":1,"state":"working","agent":"echo","skill":"echo.say","node":"n1","fence":1,"duration_s":null,"problem":null}');
INSERT INTO public.events VALUES ('task_01m7zaaew1rwrbgmt7c79g1839', 7, 1795273603.989178, '{"kind":"step","step":"a","attempt":1,"state":"completed","agent":"echo","skill":"echo.say","node":"n1","fence":1,"duration_s":0.1,"problem":null}');
INSERT INTO public.events VALUES ('task_01m7zaaew1rwrbgmt7c79g1839', 8, 1795273603.9946876, '{"kind":"step","step":"b","attempt":1,"state":"working","agent":"echo","skill":"echo.say","node":"n1","fence":1,"duration_s":null,"problem":null}');
INSERT INTO public.events VALUES ('task_01m7zaaew1rwrbgmt7c79g1839', 9, 1795273603.9992087, '{"kind":"step","step":"b","attempt":1,"state":"completed","agent":"echo","skill":"echo.say","node":"n1","fence":1,"duration_s":0.1,"problem":null}');
INSERT INTO public.events VALUES ('task_01m7zaaew1rwrbgmt7c79g1839', 10, 1795273603.9992087, '{"kind":"state","state":"completed","message":""}');
INSERT INTO public.events VALUES ('task_01m7zaaex4nt7fd6g8966qsp4p', 1, 1795273604.0047317, '{"kind":"state","state":"submitted","message":""}');
INSERT INTO public.events VALUES ('task_01m7zaaex4nt7fd6g8966qsp4p', 2, 1795273604.0047317, '{"kind":"stage","stage":"plan","output":{"steps":[{"name":"fail","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""}]}}');
INSERT INTO public.events VALUES ('task_01m7zaaex4nt7fd6g8966qsp4p', 3, 1795273604.0047317, '{"kind":"step","step":"fail","attempt":1,"state":"ready","agent":"echo","skill":"echo.say","node":null,"fence":0,"duration_s":null,"problem":null}');
INSERT INTO public.events VALUES ('task_01m7zaaex7swvdva7zvms5e9eh', 1, 1795273604.007645, '{"kind":"state","state":"submitted","message":""}');
INSERT INTO public.events VALUES ('task_01m7zaaex7swvdva7zvms5e9eh', 2, 1795273604.007645, '{"kind":"stage","stage":"plan","output":{"steps":[{"name":"c","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""},{"name":"d","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""}]}}');
INSERT INTO public.events VALUES ('task_01m7zaaex7swvdva7zvms5e9eh', 3, 1795273604.007645, '{"kind":"step","step":"c","attempt":1,"state":"ready","agent":"echo","skill":"echo.say","node":null,"fence":0,"duration_s":null,"problem":null}');
INSERT INTO public.events VALUES ('task_01m7zaaex7swvdva7zvms5e9eh', 4, 1795273604.007645, '{"kind":"step","step":"d","attempt":1,"state":"ready","agent":"echo","skill":"echo.say","node":null,"fence":0,"duration_s":null,"problem":null}');
INSERT INTO public.events VALUES ('task_01m7zaaex4nt7fd6g8966qsp4p', 4, 1795273604.0100138, '{"kind":"state","state":"working","message":""}');
INSERT INTO public.events VALUES ('task_01m7zaaex4nt7fd6g8966qsp4p', 5, 1795273604.0100138, '{"kind":"step","step":"fail","attempt":1,"state":"working","agent":"echo","skill":"echo.say","node":"n1","fence":1,"duration_s":null,"problem":null}');
INSERT INTO public.events VALUES ('task_01m7zaaex7swvdva7zvms5e9eh', 5, 1795273604.0100138, '{"kind":"state","state":"working","message":""}');
INSERT INTO public.events VALUES ('task_01m7zaaex7swvdva7zvms5e9eh', 6, 1795273604.0100138, '{"kind":"step","step":"c","attempt":1,"state":"working","agent":"echo","skill":"echo.say","node":"n1","fence":1,"duration_s":null,"problem":null}');
INSERT INTO public.events VALUES ('task_01m7zaaex7swvdva7zvms5e9eh', 7, 1795273604.0100138, '{"kind":"step","step":"d","attempt":1,"state":"working","agent":"echo","skill":"echo.say","node":"n1","fence":1,"duration_s":null,"problem":null}');
INSERT INTO public.events VALUES ('task_01m7zaaexeyjrx9cvnsf36f3xc', 1, 1795273604.0154972, '{"kind":"state","state":"submitted","message":""}');
INSERT INTO public.events VALUES ('task_01m7zaaexeyjrx9cvnsf36f3xc', 2, 1795273604.0154972, '{"kind":"stage","stage":"plan","output":{"steps":[{"name":"e","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""}]}}');
INSERT INTO public.events VALUES ('task_01m7zaaexeyjrx9cvnsf36f3xc', 3, 1795273604.0154972, '{"kind":"step","step":"e","attempt":1,"state":"ready","agent":"echo","skill":"echo.say","node":null,"fence":0,"duration_s":null,"problem":null}');
INSERT INTO public.events VALUES ('task_01m7zaaexeyjrx9cvnsf36f3xc', 4, 1795273604.0174963, '{"kind":"step","step":"e","attempt":1,"state":"canceled","agent":"echo","skill":"echo.say","node":null,"fence":1,"duration_s":null,"problem":{"type":"canceled","detail":"no longer needed","retryable":false}}');
INSERT INTO public.events VALUES ('task_01m7zaaexeyjrx9cvnsf36f3xc', 5, 1795273604.0174963, '{"kind":"state","state":"canceled","message":"no longer needed"}');
INSERT INTO public.events VALUES ('task_01m7zaaexnfv7vn67h12zqfsra', 1, 1795273604.0223844, '{"kind":"state","state":"submitted","message":""}');
INSERT INTO public.events VALUES ('task_01m7zaaexnfv7vn67h12zqfsra', 2, 1795273604.0223844, '{"kind":"stage","stage":"plan","output":{"steps":[{"name":"f","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""},{"name":"g","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""}]}}');
INSERT INTO public.events VALUES ('task_01m7zaaexnfv7vn67h12zqfsra', 3, 1795273604.0223844, '{"kind":"step","step":"f","attempt":1,"state":"ready","agent":"echo","skill":"echo.say","node":null,"fence":0,"duration_s":null,"problem":null}');
INSERT INTO public.events VALUES ('task_01m7zaaexnfv7vn67h12zqfsra', 4, 1795273604.0223844, '{"kind":"step","step":"g","attempt":1,"state":"ready","agent":"echo","skill":"echo.say","node":null,"fence":0,"duration_s":null,"problem":null}');
INSERT INTO public.events VALUES ('task_01m7zaaexr8w3stndsz13e7k1s', 1, 1795273604.0245984, '{"kind":"state","state":"submitted","message":""}');
INSERT INTO public.events VALUES ('task_01m7zaaexr8w3stndsz13e7k1s', 2, 1795273604.0245984, '{"kind":"state","state":"input-required","message":"which one?"}');
INSERT INTO public.idempotency VALUES ('key_01m7zaaevpfrdrx3rasyp6hjbt', 'ask', 'first', '6c08256fc4965f5cd7b1141f5ac69a83da76cd5648e4faee8b396b82ac5adb24', 'task_01m7zaaew1rwrbgmt7c79g1839', 4102444800);
INSERT INTO public.outbox VALUES ('msg_01m7zaaex19qskdezv4cwq2zkj', 'task_01m7zaaew1rwrbgmt7c79g1839', 10, 'https://example.org/hook', 'task.completed', '{"id":"task_01m7zaaew1rwrbgmt7c79g1839","context_id":"ctx_01m7zaaew2811yy8fez7bhvwcg","state":"completed","request":{"text":"a b","files":[{"sha256":"154f4a4151173473b08a658b1f1ff576ea4b397d7074553d454ef4c9498c0621","name":"old.txt","media_type":"text/plain","size":28}],"replies":[]},"priority":"normal","data_class":"internal","created_at":"2026-11-21T15:06:43.969701Z","updated_at":"2026-11-21T15:06:43.999209Z","deadline_at":"2026-11-21T15:16:43.969701Z","trace_id":"489b20d7c8286f1f5a1aac060bf7e1a1","key_id":"key_01m7zaaevpfrdrx3rasyp6hjbt","callback_url":"https://example.org/hook","replay_of":null,"question":null,"answer":{"text":"done","planner":"none","notes":[],"outputs":{"a":{"said":"a"},"b":{"said":"b"}},"provenance":[]},"problem":null,"artifacts":[],"last_seq":10}', 'queued', 0, 1795273603.9992087, 1795273603.9992087, NULL, NULL);
INSERT INTO public.steps VALUES ('task_01m7zaaexeyjrx9cvnsf36f3xc', 'e', 1, 1, 'echo', 'echo.say', 'none', 'canceled', 1, 30, 4102444800, NULL, 1795273604.0154972, 1795273604.0154972, 1, 0, NULL, NULL, NULL, 1795273609.0154972, 5, '{"files":[]}', NULL, NULL, '{"type":"canceled","detail":"no longer needed","retryable":false}', NULL);
INSERT INTO public.steps VALUES ('task_01m7zaaexnfv7vn67h12zqfsra', 'f', 1, 1, 'echo', 'echo.say', 'none', 'ready', 1, 30, 4102444800, NULL, 1795273604.0223844, 1795273604.0223844, 0, 0, NULL, NULL, NULL, 1795273609.0223844, 5, '{"files":[]}', NULL, NULL, NULL, NULL);
INSERT INTO public.steps VALUES ('task_01m7zaaexnfv7vn67h12zqfsra', 'g', 1, 2, 'echo', 'echo.say', 'none', 'ready', 1, 30, 4102444800, NULL, 1795273604.0223844, 1795273604.0223844, 0, 0, NULL, NULL, NULL, 1795273609.0223844, 5, '{"files":[]}', NULL, NULL, NULL, NULL);
INSERT INTO public.steps VALUES ('task_01m7zaaew1rwrbgmt7c79g1839', 'a', 1, 1, 'echo', 'echo.say', 'none', 'completed', 1, 30, 4102444800, 4102444800, 1795273603.969701, 1795273603.969701, 1, 1, 'r1', 'n1', NULL, 1795273608.969701, 5, '{"files":[{"sha256":"154f4a4151173473b08a658b1f1ff576ea4b397d7074553d454ef4c9498c0621","name":"old.txt","media_type":"text/plain","size":28}]}', '{"said":"a"}', NULL, NULL, 0.1);
INSERT INTO public.steps VALUES ('task_01m7zaaew1rwrbgmt7c79g1839', 'b', 1, 2, 'echo', 'echo.say', 'none', 'completed', 1, 30, 4102444800, 4102444800, 1795273603.969701, 1795273603.969701, 1, 1, 'r1', 'n1', NULL, 1795273608.969701, 5, '{"files":[{"sha256":"154f4a4151173473b08a658b1f1ff576ea4b397d7074553d454ef4c9498c0621","name":"old.txt","media_type":"text/plain","size":28}]}', '{"said":"b"}', NULL, NULL, 0.1);
INSERT INTO public.steps VALUES ('task_01m7zaaex4nt7fd6g8966qsp4p', 'fail', 1, 1, 'echo', 'echo.say', 'none', 'working', 1, 30, 4102444800, 4102444800, 1795273604.0047317, 1795273604.0047317, 1, 1, 'r1', 'n1', 1795273624.0100138, 1795273609.0047317, 5, '{"files":[]}', NULL, NULL, NULL, NULL);
INSERT INTO public.steps VALUES ('task_01m7zaaex7swvdva7zvms5e9eh', 'c', 1, 1, 'echo', 'echo.say', 'none', 'working', 1, 30, 4102444800, 4102444800, 1795273604.007645, 1795273604.007645, 1, 1, 'r1', 'n1', 1795273624.0100138, 1795273609.007645, 5, '{"files":[]}', NULL, NULL, NULL, NULL);
INSERT INTO public.steps VALUES ('task_01m7zaaex7swvdva7zvms5e9eh', 'd', 1, 2, 'echo', 'echo.say', 'none', 'working', 1, 30, 4102444800, 4102444800, 1795273604.007645, 1795273604.007645, 1, 1, 'r1', 'n1', 1795273624.0100138, 1795273609.007645, 5, '{"files":[]}', NULL, NULL, NULL, NULL);
INSERT INTO public.tasks VALUES ('task_01m7zaaew1rwrbgmt7c79g1839', 'key_01m7zaaevpfrdrx3rasyp6hjbt', 'ask', 'ctx_01m7zaaew2811yy8fez7bhvwcg', 'completed', '{"text":"a b","files":[{"sha256":"154f4a4151173473b08a658b1f1ff576ea4b397d7074553d454ef4c9498c0621","name":"old.txt","media_type":"text/plain","size":28}],"replies":[]}', 1, 'internal', 8, 600, 1795273603.969701, 1795273603.9992087, 4102444800, NULL, '489b20d7c8286f1f5a1aac060bf7e1a1', 'https://example.org/hook', NULL, NULL, '{"text":"done","planner":"none","notes":[],"outputs":{"a":{"said":"a"},"b":{"said":"b"}},"provenance":[]}', NULL, '{"steps":[{"name":"a","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""},{"name":"b","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""}]}', 'none', '[]', 10, NULL, 1, NULL, NULL, 0);
INSERT INTO public.tasks VALUES ('task_01m7zaaex4nt7fd6g8966qsp4p', 'key_01m7zaaevpfrdrx3rasyp6hjbt', 'ask', 'ctx_01m7zaaex4fp9nx824grzscrba', 'working', '{"text":"fail","files":[],"replies":[]}', 1, 'internal', 8, 600, 1795273604.0047317, 1795273604.0100138, 4102444800, NULL, '2abf1e387c2d4df17ff612f84994100c', NULL, NULL, NULL, NULL, NULL, '{"steps":[{"name":"fail","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""}]}', 'none', '[]', 5, NULL, 0, NULL, NULL, 0);
INSERT INTO public.tasks VALUES ('task_01m7zaaex7swvdva7zvms5e9eh', 'key_01m7zaaevpfrdrx3rasyp6hjbt', 'ask', 'ctx_01m7zaaex70e24402xxg9hfdrh', 'working', '{"text":"c d","files":[],"replies":[]}', 1, 'internal', 8, 600, 1795273604.007645, 1795273604.0100138, 4102444800, NULL, '8b49aeead5954e09ae73217101e8884f', NULL, NULL, NULL, NULL, NULL, '{"steps":[{"name":"c","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""},{"name":"d","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""}]}', 'none', '[]', 7, NULL, 0, NULL, NULL, 0);
INSERT INTO public.tasks VALUES ('task_01m7zaaexeyjrx9cvnsf36f3xc', 'key_01m7zaaevpfrdrx3rasyp6hjbt', 'ask', 'ctx_01m7zaaexejb55vj6c0k427rd1', 'canceled', '{"text":"e","files":[],"replies":[]}', 1, 'internal', 8, 600, 1795273604.0154972, 1795273604.0174963, 4102444800, NULL, '6d343c1ee8a5fd279a6346d2df7fc2d4', NULL, NULL, NULL, NULL, '{"type":"canceled","detail":"no longer needed","retryable":false}', '{"steps":[{"name":"e","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""}]}', 'none', '[]', 5, NULL, 1, NULL, NULL, 0);
INSERT INTO public.tasks VALUES ('task_01m7zaaexnfv7vn67h12zqfsra', 'key_01m7zaaevpfrdrx3rasyp6hjbt', 'ask', 'ctx_01m7zaaexn25gzb36z4mcgj932', 'submitted', '{"text":"f g","files":[],"replies":[]}', 1, 'internal', 8, 600, 1795273604.0223844, 1795273604.0223844, 4102444800, NULL, '308fc9b7cb9fd3030a9647fb5f5400d7', NULL, NULL, NULL, NULL, NULL, '{"steps":[{"name":"f","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""},{"name":"g","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""}]}', 'none', '[]', 4, NULL, 0, NULL, NULL, 0);
INSERT INTO public.tasks VALUES ('task_01m7zaaexr8w3stndsz13e7k1s', 'key_01m7zaaevpfrdrx3rasyp6hjbt', 'ask', 'ctx_01m7zaaexr8rqqh9z5tm8dxv9r', 'input-required', '{"text":"ask h","files":[],"replies":[]}', 1, 'internal', 8, 600, 1795273604.0245984, 1795273604.0245984, 4102444800, 1795273604.0245984, '32faf4aa7438af684aedaa0b2fdee5f0', NULL, NULL, '"which one?"', NULL, NULL, NULL, 'none', '[]', 2, NULL, 0, NULL, NULL, 0);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.blob_owners
    ADD CONSTRAINT blob_owners_pkey PRIMARY KEY (sha256, key_id);
ALTER TABLE ONLY public.blob_refs
    ADD CONSTRAINT blob_refs_pkey PRIMARY KEY (sha256, task_id);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (task_id, seq);
ALTER TABLE ONLY public.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (key_id, operation, key);
ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.steps
    ADD CONSTRAINT steps_pkey PRIMARY KEY (task_id, step, attempt);
ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT tasks_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.thoughts
    ADD CONSTRAINT thoughts_pkey PRIMARY KEY (task_id, name);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT uq_api_keys_sha256 UNIQUE (sha256);
CREATE INDEX ix_blob_refs_task_id ON public.blob_refs USING btree (task_id);
CREATE INDEX ix_idempotency_created_at ON public.idempotency USING btree (created_at);
CREATE INDEX ix_outbox_due_at ON public.outbox USING btree (due_at) WHERE ((state)::text = 'queued'::text);
CREATE INDEX ix_outbox_task_id_seq ON public.outbox USING btree (task_id, seq);
CREATE INDEX ix_steps_claim ON public.steps USING btree (agent, priority, task_deadline_at, created_at) WHERE ((state)::text = 'ready'::text);
CREATE INDEX ix_steps_lease_until ON public.steps USING btree (lease_until) WHERE ((state)::text = 'working'::text);
CREATE INDEX ix_steps_ring_at ON public.steps USING btree (ring_at) WHERE ((state)::text = 'ready'::text);
CREATE INDEX ix_tasks_deadline_at ON public.tasks USING btree (deadline_at) WHERE ((state)::text = ANY ((ARRAY['submitted'::character varying, 'working'::character varying, 'auth-required'::character varying])::text[]));
CREATE INDEX ix_tasks_key_id_id ON public.tasks USING btree (key_id, id);
CREATE INDEX ix_tasks_state_id ON public.tasks USING btree (state, id);
CREATE INDEX ix_tasks_think_until ON public.tasks USING btree (think_until) WHERE (think IS NOT NULL);
ALTER TABLE ONLY public.blob_refs
    ADD CONSTRAINT blob_refs_task_id_fkey FOREIGN KEY (task_id) REFERENCES public.tasks(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_task_id_fkey FOREIGN KEY (task_id) REFERENCES public.tasks(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_task_id_fkey FOREIGN KEY (task_id) REFERENCES public.tasks(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.steps
    ADD CONSTRAINT steps_task_id_fkey FOREIGN KEY (task_id) REFERENCES public.tasks(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.thoughts
    ADD CONSTRAINT thoughts_task_id_fkey FOREIGN KEY (task_id) REFERENCES public.tasks(id) ON DELETE CASCADE;
