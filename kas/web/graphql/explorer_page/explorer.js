"use strict";

// What is typed stays in the page: no storage, no cookies. Answers are only ever shown as text.

const element = (id) => document.getElementById(id);

const EXAMPLES = {
  "Agents of a project": [
    `query agents($path: ID!) {
  project(fullPath: $path) {
    clusterAgents {
      nodes {
        id
        name
        createdAt
        tokens { nodes { id name status lastUsedAt } }
        connections { nodes { connectedAt metadata { version podNamespace podName } } }
      }
    }
  }
}`,
    { path: "group/config" },
  ],
  "Register an agent": [
    `mutation createAgent($path: ID!, $name: String!) {
  createClusterAgent(input: {projectPath: $path, name: $name}) {
    clusterAgent { id name }
    errors
  }
}`,
    { path: "group/config", name: "my-agent" },
  ],
  "Create a token": [
    `mutation createToken($agent: ClustersAgentID!, $name: String!) {
  clusterAgentTokenCreate(input: {clusterAgentId: $agent, name: $name}) {
    secret
    token { id createdAt }
    errors
  }
}`,
    { agent: "gid://gitlab/Clusters::Agent/43", name: "west" },
  ],
  "Revoke a token": [
    `mutation revokeToken($token: ClustersAgentTokenID!) {
  clusterAgentTokenRevoke(input: {id: $token}) { errors }
}`,
    { token: "gid://gitlab/Clusters::AgentToken/7" },
  ],
  "Remove an agent": [
    `mutation deleteAgent($agent: ClustersAgentID!) {
  clusterAgentDelete(input: {id: $agent}) { errors }
}`,
    { agent: "gid://gitlab/Clusters::Agent/43" },
  ],
};

const TYPES = `query types {
  __schema {
    types {
      name
      kind
      description
      fields { name description type { ...shape } }
      inputFields { name description type { ...shape } }
      enumValues { name }
    }
  }
}
fragment shape on __Type { name kind ofType { name kind ofType { name kind ofType { name kind } } } }`;

function say(text, bad) {
  const status = element("status");
  status.textContent = text;
  status.className = bad ? "bad" : "";
}

async function send(query, variables) {
  const token = element("token").value.trim();
  const headers = { "Content-Type": "application/json" };
  if (token) {
    headers.Authorization = `Bearer ${token}`;
  }
  const started = performance.now();
  const response = await fetch("/api/graphql", {
    method: "POST",
    headers,
    credentials: "omit",
    body: JSON.stringify({ query, variables }),
  });
  const answer = await response.json();
  return { status: response.status, answer, milliseconds: Math.round(performance.now() - started) };
}

async function run() {
  let variables;
  try {
    variables = JSON.parse(element("variables").value.trim() || "{}");
  } catch (error) {
    say(`The variables are not JSON: ${error.message}`, true);
    return;
  }
  element("run").disabled = true;
  say("…", false);
  try {
    const { status, answer, milliseconds } = await send(element("query").value, variables);
    const refused = answer.error;
    const failed = Boolean(refused || answer.errors);
    say(refused ? `${status}: ${refused.message}. ${refused.hint}` : `${status}, ${milliseconds} ms`, failed);
    element("result").textContent = JSON.stringify(answer, null, 2);
  } catch (error) {
    say(`kas did not answer: ${error.message}`, true);
  } finally {
    element("run").disabled = false;
  }
}

function shape(type) {
  if (type.kind === "NON_NULL") {
    return `${shape(type.ofType)}!`;
  }
  return type.kind === "LIST" ? `[${shape(type.ofType)}]` : type.name;
}

function described(type) {
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  summary.textContent = type.name;
  const list = document.createElement("ul");
  for (const field of type.fields || type.inputFields || type.enumValues || []) {
    const item = document.createElement("li");
    item.textContent = field.type ? `${field.name}: ${shape(field.type)}` : field.name;
    item.title = field.description || "";
    list.append(item);
  }
  details.append(summary, list);
  return details;
}

async function showSchema() {
  try {
    const { status, answer } = await send(TYPES, {});
    if (!answer.data) {
      say(`${status}: ${answer.error ? answer.error.message : answer.errors[0].message}`, true);
      return;
    }
    const own = answer.data.__schema.types.filter((type) => !type.name.startsWith("__") && type.kind !== "SCALAR");
    element("types").replaceChildren(...own.map(described));
  } catch (error) {
    say(`kas did not answer: ${error.message}`, true);
  }
}

function fill(name) {
  const [query, variables] = EXAMPLES[name];
  element("query").value = query;
  element("variables").value = JSON.stringify(variables, null, 2);
}

for (const name of Object.keys(EXAMPLES)) {
  element("examples").append(new Option(name, name));
}
element("examples").addEventListener("change", (event) => fill(event.target.value));
element("run").addEventListener("click", run);
element("schema").addEventListener("click", showSchema);
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    run();
  }
});
fill(Object.keys(EXAMPLES)[0]);
