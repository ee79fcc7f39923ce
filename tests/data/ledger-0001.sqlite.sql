BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE api_keys (
	id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	scopes TEXT NOT NULL, 
	rate_per_minute INTEGER, 
	created_at FLOAT NOT NULL, 
	expires_at FLOAT, 
	revoked_at FLOAT, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_api_keys_sha256 UNIQUE (sha256)
);
INSERT INTO "api_keys" VALUES('key_01m7zaacgh0jb1g0ktd013w9ev','dumped','33bfc06aaa2105984449336e229e5bcabec49a0a019cd21b0ed2f9168ec260ab','["tasks:read","tasks:write"]',NULL,1.7952736015537698269e+09,NULL,NULL);
CREATE TABLE blob_owners (
	sha256 VARCHAR NOT NULL, 
	key_id VARCHAR NOT NULL, 
	at FLOAT NOT NULL, 
	PRIMARY KEY (sha256, key_id)
);
INSERT INTO "blob_owners" VALUES('154f4a4151173473b08a658b1f1ff576ea4b397d7074553d454ef4c9498c0621','key_01m7zaacgh0jb1g0ktd013w9ev',1.79527360155824446683e+09);
CREATE TABLE blob_refs (
	sha256 VARCHAR NOT NULL, 
	task_id VARCHAR NOT NULL, 
	PRIMARY KEY (sha256, task_id), 
	FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE
);
INSERT INTO "blob_refs" VALUES('154f4a4151173473b08a658b1f1ff576ea4b397d7074553d454ef4c9498c0621','task_01m7zaach3699fhs5tzxtbq5ht');
CREATE TABLE events (
	task_id VARCHAR NOT NULL, 
	seq INTEGER NOT NULL, 
	at FLOAT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (task_id, seq), 
	FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE
);
INSERT INTO "events" VALUES('task_01m7zaach3699fhs5tzxtbq5ht',1,1.79527360157120609287e+09,'{"kind":"state","state":"submitted","message":""}');
INSERT INTO "events" VALUES('task_01m7zaach3699fhs5tzxtbq5ht',2,1.79527360157120609287e+09,'{"kind":"stage","stage":"plan","output":{"steps":[{"name":"a","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""},{"name":"b","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""}]}}');
INSERT INTO "events" VALUES('task_01m7zaach3699fhs5tzxtbq5ht',3,1.79527360157120609287e+09,'{"kind":"step","step":"a","attempt":1,"state":"ready","agent":"echo","skill":"echo.say","node":null,"fence":0,"duration_s":null,"problem":null}');
INSERT INTO "events" VALUES('task_01m7zaach3699fhs5tzxtbq5ht',4,1.79527360157120609287e+09,'{"kind":"step","step":"b","attempt":1,"state":"ready","agent":"echo","skill":"echo.say","node":null,"fence":0,"duration_s":null,"problem":null}');
INSERT INTO "events" VALUES('task_01m7zaach3699fhs5tzxtbq5ht',5,1.79527360158193874362e+09,'{"kind":"state","state":"working","message":""}');
INSERT INTO "events" VALUES('task_01m7zaach3699fhs5tzxtbq5ht',6,1.79527360158193874362e+09,'{"kind":"step","step":"a","attempt":1,"state":"working","agent":"echo","skill":"echo.say","node":"n1","fence":1,"duration_s":null,"problem":null}');
INSERT INTO "events" VALUES('task_01m7zaach3699fhs5tzxtbq5ht',7,1.79527360159166741375e+09,'{"kind":"step","step":"a","attempt":1,"state":"completed","agent":"echo","skill":"echo.say","node":"n1","fence":1,"duration_s":0.1,"problem":null}');
INSERT INTO "events" VALUES('task_01m7zaach3699fhs5tzxtbq5ht',8,1.7952736016016895771e+09,'{"kind":"step","step":"b","attempt":1,"state":"working","agent":"echo","skill":"echo.say","node":"n1","fence":1,"duration_s":null,"problem":null}');
INSERT INTO "events" VALUES('task_01m7zaach3699fhs5tzxtbq5ht',9,1.7952736016069765091e+09,'{"kind":"step","step":"b","attempt":1,"state":"completed","agent":"echo","skill":"echo.say","node":"n1","fence":1,"duration_s":0.1,"problem":null}');
INSERT INTO "events" VALUES('task_01m7zaach3699fhs5tzxtbq5ht',10,1.7952736016069765091e+09,'{"kind":"state","state":"completed","message":""}');
INSERT INTO "events" VALUES('task_01m7zaacjmmzqvketbyg4m8gt8',1,1.79527360162042880055e+09,'{"kind":"state","state":"submitted","message":""}');
INSERT INTO "events" VALUES('task_01m7zaacjmmzqvketbyg4m8gt8',2,1.79527360162042880055e+09,'{"kind":"stage","stage":"plan","output":{"steps":[{"name":"fail","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""}]}}');
INSERT INTO "events" VALUES('task_01m7zaacjmmzqvketbyg4m8gt8',3,1.79527360162042880055e+09,'{"kind":"step","step":"fail","attempt":1,"state":"ready","agent":"echo","skill":"echo.say","node":null,"fence":0,"duration_s":null,"problem":null}');
INSERT INTO "events" VALUES('task_01m7zaack26yc9dawcd44em7gd',1,1.79527360163398766522e+09,'{"kind":"state","state":"submitted","message":""}');
INSERT INTO "events" VALUES('task_01m7zaack26yc9dawcd44em7gd',2,1.79527360163398766522e+09,'{"kind":"stage","stage":"plan","output":{"steps":[{"name":"c","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""},{"name":"d","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""}]}}');
INSERT INTO "events" VALUES('task_01m7zaack26yc9dawcd44em7gd',3,1.79527360163398766522e+09,'{"kind":"step","step":"c","attempt":1,"state":"ready","agent":"echo","skill":"echo.say","node":null,"fence":0,"duration_s":null,"problem":null}');
INSERT INTO "events" VALUES('task_01m7zaack26yc9dawcd44em7gd',4,1.79527360163398766522e+09,'{"kind":"step","step":"d","attempt":1,"state":"ready","agent":"echo","skill":"echo.say","node":null,"fence":0,"duration_s":null,"problem":null}');
INSERT INTO "events" VALUES('task_01m7zaacjmmzqvketbyg4m8gt8',4,1.79527360163634276384e+09,'{"kind":"state","state":"working","message":""}');
INSERT INTO "events" VALUES('task_01m7zaacjmmzqvketbyg4m8gt8',5,1.79527360163634276384e+09,'{"kind":"step","step":"fail","attempt":1,"state":"working","agent":"echo","skill":"echo.say","node":"n1","fence":1,"duration_s":null,"problem":null}');
INSERT INTO "events" VALUES('task_01m7zaack26yc9dawcd44em7gd',5,1.79527360163634276384e+09,'{"kind":"state","state":"working","message":""}');
INSERT INTO "events" VALUES('task_01m7zaack26yc9dawcd44em7gd',6,1.79527360163634276384e+09,'{"kind":"step","step":"c","attempt":1,"state":"working","agent":"echo","skill":"echo.say","node":"n1","fence":1,"duration_s":null,"problem":null}');
INSERT INTO "events" VALUES('task_01m7zaack26yc9dawcd44em7gd',7,1.79527360163634276384e+09,'{"kind":"step","step":"d","attempt":1,"state":"working","agent":"echo","skill":"echo.say","node":"n1","fence":1,"duration_s":null,"problem":null}');
INSERT INTO "events" VALUES('task_01m7zaack6j8c101npdmemrryh',1,1.79527360163800954817e+09,'{"kind":"state","state":"submitted","message":""}');
INSERT INTO "events" VALUES('task_01m7zaack6j8c101npdmemrryh',2,1.79527360163800954817e+09,'{"kind":"stage","stage":"plan","output":{"steps":[{"name":"e","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""}]}}');
INSERT INTO "events" VALUES('task_01m7zaack6j8c101npdmemrryh',3,1.79527360163800954817e+09,'{"kind":"step","step":"e","attempt":1,"state":"ready","agent":"echo","skill":"echo.say","node":null,"fence":0,"duration_s":null,"problem":null}');
INSERT INTO "events" VALUES('task_01m7zaack6j8c101npdmemrryh',4,1.79527360163911128042e+09,'{"kind":"step","step":"e","attempt":1,"state":"canceled","agent":"echo","skill":"echo.say","node":null,"fence":1,"duration_s":null,"problem":{"type":"canceled","detail":"no longer needed","retryable":false}}');
INSERT INTO "events" VALUES('task_01m7zaack6j8c101npdmemrryh',5,1.79527360163911128042e+09,'{"kind":"state","state":"canceled","message":"no longer needed"}');
INSERT INTO "events" VALUES('task_01m7zaack9hcxywb2866tk2v0s',1,1.7952736016411883831e+09,'{"kind":"state","state":"submitted","message":""}');
INSERT INTO "events" VALUES('task_01m7zaack9hcxywb2866tk2v0s',2,1.7952736016411883831e+09,'{"kind":"stage","stage":"plan","output":{"steps":[{"name":"f","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""},{"name":"g","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""}]}}');
INSERT INTO "events" VALUES('task_01m7zaack9hcxywb2866tk2v0s',3,1.7952736016411883831e+09,'{"kind":"step","step":"f","attempt":1,"state":"ready","agent":"echo","skill":"echo.say","node":null,"fence":0,"duration_s":null,"problem":null}');
INSERT INTO "events" VALUES('task_01m7zaack9hcxywb2866tk2v0s',4,1.7952736016411883831e+09,'{"kind":"step","step":"g","attempt":1,"state":"ready","agent":"echo","skill":"echo.say","node":null,"fence":0,"duration_s":null,"problem":null}');
INSERT INTO "events" VALUES('task_01m7zaackhe4dxf0kb8j45xwk6',1,1.79527360164983201028e+09,'{"kind":"state","state":"submitted","message":""}');
INSERT INTO "events" VALUES('task_01m7zaackhe4dxf0kb8j45xwk6',2,1.79527360164983201028e+09,'{"kind":"state","state":"input-required","message":"which one?"}');
CREATE TABLE idempotency (
	key_id VARCHAR NOT NULL, 
	operation VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	digest VARCHAR NOT NULL, 
	task_id VARCHAR NOT NULL, 
	created_at FLOAT NOT NULL, 
	PRIMARY KEY (key_id, operation, "key")
);
INSERT INTO "idempotency" VALUES('key_01m7zaacgh0jb1g0ktd013w9ev','ask','first','6c08256fc4965f5cd7b1141f5ac69a83da76cd5648e4faee8b396b82ac5adb24','task_01m7zaach3699fhs5tzxtbq5ht',4102444800.0);
CREATE TABLE outbox (
	id VARCHAR NOT NULL, 
	task_id VARCHAR NOT NULL, 
	seq INTEGER NOT NULL, 
	target TEXT NOT NULL, 
	type VARCHAR NOT NULL, 
	payload TEXT NOT NULL, 
	state VARCHAR NOT NULL, 
	attempts INTEGER NOT NULL, 
	due_at FLOAT NOT NULL, 
	created_at FLOAT NOT NULL, 
	delivered_at FLOAT, 
	error TEXT, 
	PRIMARY KEY (id), 
	FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE
);
INSERT INTO "outbox" VALUES('msg_01m7zaacj8j5vw0fq2zt2hpzbn','task_01m7zaach3699fhs5tzxtbq5ht',10,'https://example.org/hook','task.completed','{"id":"task_01m7zaach3699fhs5tzxtbq5ht","context_id":"ctx_01m7zaach42vwdgjwy37a7f8y1","state":"completed","request":{"text":"a b","files":[{"sha256":"154f4a4151173473b08a658b1f1ff576ea4b397d7074553d454ef4c9498c0621","name":"old.txt","media_type":"text/plain","size":28}],"replies":[]},"priority":"normal","data_class":"internal","created_at":"2026-11-21T15:06:41.571206Z","updated_at":"2026-11-21T15:06:41.606977Z","deadline_at":"2026-11-21T15:16:41.571206Z","trace_id":"b8cfca9d85e485927dec1d1b387e7335","key_id":"key_01m7zaacgh0jb1g0ktd013w9ev","callback_url":"https://example.org/hook","replay_of":null,"question":null,"answer":{"text":"done","planner":"none","notes":[],"outputs":{"a":{"said":"a"},"b":{"said":"b"}},"provenance":[]},"problem":null,"artifacts":[],"last_seq":10}','queued',0,1.7952736016069765091e+09,1.7952736016069765091e+09,NULL,NULL);
CREATE TABLE steps (
	task_id VARCHAR NOT NULL, 
	step VARCHAR NOT NULL, 
	attempt INTEGER NOT NULL, 
	ordinal INTEGER NOT NULL, 
	agent VARCHAR NOT NULL, 
	skill VARCHAR NOT NULL, 
	effects VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	priority INTEGER NOT NULL, 
	deadline_s FLOAT NOT NULL, 
	task_deadline_at FLOAT NOT NULL, 
	deadline_at FLOAT, 
	created_at FLOAT NOT NULL, 
	not_before FLOAT NOT NULL, 
	fence INTEGER NOT NULL, 
	grants INTEGER NOT NULL, 
	runner VARCHAR, 
	node VARCHAR, 
	lease_until FLOAT, 
	ring_at FLOAT NOT NULL, 
	ring_delay_s FLOAT NOT NULL, 
	input TEXT NOT NULL, 
	output TEXT, 
	artifacts TEXT, 
	problem TEXT, 
	duration_s FLOAT, 
	PRIMARY KEY (task_id, step, attempt), 
	FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE
);
INSERT INTO "steps" VALUES('task_01m7zaach3699fhs5tzxtbq5ht','a',1,1,'echo','echo.say','none','completed',1,30.0,4102444800.0,4102444800.0,1.79527360157120609287e+09,1.79527360157120609287e+09,1,1,'r1','n1',NULL,1.79527360657120609284e+09,5.0,'{"files":[{"sha256":"154f4a4151173473b08a658b1f1ff576ea4b397d7074553d454ef4c9498c0621","name":"old.txt","media_type":"text/plain","size":28}]}','{"said":"a"}',NULL,NULL,0.1);
INSERT INTO "steps" VALUES('task_01m7zaach3699fhs5tzxtbq5ht','b',1,2,'echo','echo.say','none','completed',1,30.0,4102444800.0,4102444800.0,1.79527360157120609287e+09,1.79527360157120609287e+09,1,1,'r1','n1',NULL,1.79527360657120609284e+09,5.0,'{"files":[{"sha256":"154f4a4151173473b08a658b1f1ff576ea4b397d7074553d454ef4c9498c0621","name":"old.txt","media_type":"text/plain","size":28}]}','{"said":"b"}',NULL,NULL,0.1);
INSERT INTO "steps" VALUES('task_01m7zaacjmmzqvketbyg4m8gt8','fail',1,1,'echo','echo.say','none','working',1,30.0,4102444800.0,4102444800.0,1.79527360162042880055e+09,1.79527360162042880055e+09,1,1,'r1','n1',1.79527362163634276385e+09,1.79527360662042880052e+09,5.0,'{"files":[]}',NULL,NULL,NULL,NULL);
INSERT INTO "steps" VALUES('task_01m7zaack26yc9dawcd44em7gd','c',1,1,'echo','echo.say','none','working',1,30.0,4102444800.0,4102444800.0,1.79527360163398766522e+09,1.79527360163398766522e+09,1,1,'r1','n1',1.79527362163634276385e+09,1.79527360663398766519e+09,5.0,'{"files":[]}',NULL,NULL,NULL,NULL);
INSERT INTO "steps" VALUES('task_01m7zaack26yc9dawcd44em7gd','d',1,2,'echo','echo.say','none','working',1,30.0,4102444800.0,4102444800.0,1.79527360163398766522e+09,1.79527360163398766522e+09,1,1,'r1','n1',1.79527362163634276385e+09,1.79527360663398766519e+09,5.0,'{"files":[]}',NULL,NULL,NULL,NULL);
INSERT INTO "steps" VALUES('task_01m7zaack6j8c101npdmemrryh','e',1,1,'echo','echo.say','none','canceled',1,30.0,4102444800.0,NULL,1.79527360163800954817e+09,1.79527360163800954817e+09,1,0,NULL,NULL,NULL,1.79527360663800954814e+09,5.0,'{"files":[]}',NULL,NULL,'{"type":"canceled","detail":"no longer needed","retryable":false}',NULL);
INSERT INTO "steps" VALUES('task_01m7zaack9hcxywb2866tk2v0s','f',1,1,'echo','echo.say','none','ready',1,30.0,4102444800.0,NULL,1.7952736016411883831e+09,1.7952736016411883831e+09,0,0,NULL,NULL,NULL,1.79527360664118838307e+09,5.0,'{"files":[]}',NULL,NULL,NULL,NULL);
INSERT INTO "steps" VALUES('task_01m7zaack9hcxywb2866tk2v0s','g',1,2,'echo','echo.say','none','ready',1,30.0,4102444800.0,NULL,1.7952736016411883831e+09,1.7952736016411883831e+09,0,0,NULL,NULL,NULL,1.79527360664118838307e+09,5.0,'{"files":[]}',NULL,NULL,NULL,NULL);
CREATE TABLE tasks (
	id VARCHAR NOT NULL, 
	key_id VARCHAR NOT NULL, 
	operation VARCHAR NOT NULL, 
	context_id VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	request TEXT NOT NULL, 
	priority INTEGER NOT NULL, 
	data_class VARCHAR NOT NULL, 
	hops INTEGER NOT NULL, 
	deadline_s FLOAT NOT NULL, 
	created_at FLOAT NOT NULL, 
	updated_at FLOAT NOT NULL, 
	deadline_at FLOAT NOT NULL, 
	paused_at FLOAT, 
	trace_id VARCHAR NOT NULL, 
	callback_url TEXT, 
	replay_of VARCHAR, 
	question TEXT, 
	answer TEXT, 
	problem TEXT, 
	"plan" TEXT, 
	planner VARCHAR NOT NULL, 
	notes TEXT NOT NULL, 
	last_seq INTEGER NOT NULL, 
	think VARCHAR, 
	think_fence INTEGER NOT NULL, 
	think_holder VARCHAR, 
	think_until FLOAT, 
	thought_count INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "tasks" VALUES('task_01m7zaach3699fhs5tzxtbq5ht','key_01m7zaacgh0jb1g0ktd013w9ev','ask','ctx_01m7zaach42vwdgjwy37a7f8y1','completed','{"text":"a b","files":[{"sha256":"154f4a4151173473b08a658b1f1ff576ea4b397d7074553d454ef4c9498c0621","name":"old.txt","media_type":"text/plain","size":28}],"replies":[]}',1,'internal',8,600.0,1.79527360157120609287e+09,1.7952736016069765091e+09,4102444800.0,NULL,'b8cfca9d85e485927dec1d1b387e7335','https://example.org/hook',NULL,NULL,'{"text":"done","planner":"none","notes":[],"outputs":{"a":{"said":"a"},"b":{"said":"b"}},"provenance":[]}',NULL,'{"steps":[{"name":"a","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""},{"name":"b","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""}]}','none','[]',10,NULL,1,NULL,NULL,0);
INSERT INTO "tasks" VALUES('task_01m7zaacjmmzqvketbyg4m8gt8','key_01m7zaacgh0jb1g0ktd013w9ev','ask','ctx_01m7zaacjm41w5awb76tqta7df','working','{"text":"fail","files":[],"replies":[]}',1,'internal',8,600.0,1.79527360162042880055e+09,1.79527360163634276384e+09,4102444800.0,NULL,'794a3695132415f6328faad2cf68a313',NULL,NULL,NULL,NULL,NULL,'{"steps":[{"name":"fail","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""}]}','none','[]',5,NULL,0,NULL,NULL,0);
INSERT INTO "tasks" VALUES('task_01m7zaack26yc9dawcd44em7gd','key_01m7zaacgh0jb1g0ktd013w9ev','ask','ctx_01m7zaack25a7smge3ptx6hh21','working','{"text":"c d","files":[],"replies":[]}',1,'internal',8,600.0,1.79527360163398766522e+09,1.79527360163634276384e+09,4102444800.0,NULL,'5bf02c0cc3473859bbe096471cd1f5ee',NULL,NULL,NULL,NULL,NULL,'{"steps":[{"name":"c","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""},{"name":"d","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""}]}','none','[]',7,NULL,0,NULL,NULL,0);
INSERT INTO "tasks" VALUES('task_01m7zaack6j8c101npdmemrryh','key_01m7zaacgh0jb1g0ktd013w9ev','ask','ctx_01m7zaack64em5pckx2xhbwv32','canceled','{"text":"e","files":[],"replies":[]}',1,'internal',8,600.0,1.79527360163800954817e+09,1.79527360163911128042e+09,4102444800.0,NULL,'247875c251ea364c5a5c3238dd57e479',NULL,NULL,NULL,NULL,'{"type":"canceled","detail":"no longer needed","retryable":false}','{"steps":[{"name":"e","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""}]}','none','[]',5,NULL,1,NULL,NULL,0);
INSERT INTO "tasks" VALUES('task_01m7zaack9hcxywb2866tk2v0s','key_01m7zaacgh0jb1g0ktd013w9ev','ask','ctx_01m7zaack994e03b31b02kcmk7','submitted','{"text":"f g","files":[],"replies":[]}',1,'internal',8,600.0,1.7952736016411883831e+09,1.7952736016411883831e+09,4102444800.0,NULL,'af3ac454815f19561f7e43fde810a62e',NULL,NULL,NULL,NULL,NULL,'{"steps":[{"name":"f","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""},{"name":"g","agent":"echo","skill":"echo.say","input":{},"after":[],"when":null,"deadline_s":null,"title":""}]}','none','[]',4,NULL,0,NULL,NULL,0);
INSERT INTO "tasks" VALUES('task_01m7zaackhe4dxf0kb8j45xwk6','key_01m7zaacgh0jb1g0ktd013w9ev','ask','ctx_01m7zaackhr4yrb77gadye41yt','input-required','{"text":"ask h","files":[],"replies":[]}',1,'internal',8,600.0,1.79527360164983201028e+09,1.79527360164983201028e+09,4102444800.0,1.79527360164983201028e+09,'613e9d56fc90546cf54a099315186e4e',NULL,NULL,'"which one?"',NULL,NULL,NULL,'none','[]',2,NULL,0,NULL,NULL,0);
CREATE TABLE thoughts (
	task_id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	value TEXT NOT NULL, 
	at FLOAT NOT NULL, 
	PRIMARY KEY (task_id, name), 
	FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE
);
CREATE INDEX ix_idempotency_created_at ON idempotency (created_at);
CREATE INDEX ix_tasks_deadline_at ON tasks (deadline_at) WHERE state IN ('submitted', 'working', 'auth-required');
CREATE INDEX ix_tasks_key_id_id ON tasks (key_id, id);
CREATE INDEX ix_tasks_state_id ON tasks (state, id);
CREATE INDEX ix_tasks_think_until ON tasks (think_until) WHERE think IS NOT NULL;
CREATE INDEX ix_blob_refs_task_id ON blob_refs (task_id);
CREATE INDEX ix_outbox_due_at ON outbox (due_at) WHERE state = 'queued';
CREATE INDEX ix_outbox_task_id_seq ON outbox (task_id, seq);
CREATE INDEX ix_steps_claim ON steps (agent, priority, task_deadline_at, created_at) WHERE state = 'ready';
CREATE INDEX ix_steps_lease_until ON steps (lease_until) WHERE state = 'working';
CREATE INDEX ix_steps_ring_at ON steps (ring_at) WHERE state = 'ready';
COMMIT;
